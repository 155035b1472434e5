"""Claims jobs from the jobboard and runs their flows."""
