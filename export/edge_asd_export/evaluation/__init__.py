"""Figures of a bundle on labelled recordings, and their pages."""
