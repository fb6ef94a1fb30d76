"""What runs on the device: open a bundle, listen, score, raise alarms.

The pipeline reads off the folders: audio and capture, signal, scoring, alarm, events,
outputs; ``monitor`` joins them and ``bundle`` says what to obey.
"""

from __future__ import annotations

import os

__all__ = ["__version__"]

__version__ = "0.1.0"

# ONNX Runtime from 1.31 on keeps a device id below ~/.cache and looks up its vendor's event
# host, unless it finds this when it is imported; every import of it comes after this one.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
