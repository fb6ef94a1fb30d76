"""Sound as arrays: files and pipes, resampling, windows, views, levels."""
