"""What runs on the workstation: train, export, calibrate, evaluate.

It may import :mod:`edge_asd`; the device package never imports this one.
"""

import edge_asd  # noqa: F401  # turns ONNX Runtime's telemetry off before anything imports it
