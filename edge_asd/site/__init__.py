"""What is learned on site, over what the bundle knows."""
