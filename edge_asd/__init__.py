"""What runs on the device: open a bundle, listen, score, raise alarms.

The pipeline reads off the files: source, window, extractor, bank and scorer, fusion,
alarm, event, sinks; ``monitor`` joins them and ``bundle`` says what to obey.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
