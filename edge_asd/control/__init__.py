"""How other commands talk to a running monitor."""
