"""Events and faults of the monitor, and their dispatch to the outputs."""
