"""What runs on the workstation: train, export, calibrate, evaluate.

It may import :mod:`edge_asd`; the device package never imports this one.
"""
