"""For flows that make files: where they work, how one file takes the place of another, progress by bytes."""
