"""What survives a restart: the state folder and the records in it."""
