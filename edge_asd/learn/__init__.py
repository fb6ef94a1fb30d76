"""Normal sound that is learned on site, over the bundle."""
