"""Flows that come with Countermand: for use, and as examples to copy."""
