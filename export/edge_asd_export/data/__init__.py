"""Recordings: find, check, fetch."""
