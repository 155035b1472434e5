"""What Countermand's speed is measured with. Not part of the installed packages."""
