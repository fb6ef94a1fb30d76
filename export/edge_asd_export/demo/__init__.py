"""The whole path once, on synthetic machines, by the very commands that a user would type."""
