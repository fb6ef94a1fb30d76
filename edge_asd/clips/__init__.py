"""What is kept of an alarm: sound, picture and facts in a folder."""
