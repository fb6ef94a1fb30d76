"""Synthetic machines: recordings with known faults, for trying things out and for tests.

They show that the whole path works. They say nothing about real machines.
"""
