"""Recordings to train with: clips of normal sound in the layout that ``train`` reads."""
