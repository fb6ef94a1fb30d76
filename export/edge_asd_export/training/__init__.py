"""Training runs: settings, tasks, epochs, checkpoints."""
