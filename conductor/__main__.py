"""`python -m conductor`."""

from conductor.cli import main

if __name__ == "__main__":
    main(prog_name="conductor")
