"""What the monitor says: events, faults, and their way to the outputs."""
