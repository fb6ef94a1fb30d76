"""What a machine sounded like: minutes, hours and days in a database on the device."""
