"""The page that people see: what it needs is served from here, and it asks the API like any program."""
