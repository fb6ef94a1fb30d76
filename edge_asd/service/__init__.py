"""The monitor as a service of the system."""
