"""How a conductor gets jobs from a board and gives them back, whichever board it is."""
