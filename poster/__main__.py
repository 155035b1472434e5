"""`python -m poster` is the command `poster`."""

from poster.cli import main

if __name__ == "__main__":
    main()
