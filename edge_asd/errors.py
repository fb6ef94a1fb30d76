"""What can go wrong, and with which exit code.

EdgeAsdError            exit 1: something failed
├── UsageError          exit 2: the command line asks for something impossible
├── DataError           recordings that cannot be used
├── BundleError         a bundle that is missing, damaged, or made for something else
├── ProfileError        a device profile that cannot be obeyed
├── AudioError          capture or decoding failed
│   └── DeviceNotFoundError   no such sound device; the message lists those there are
└── SinkError           an output that cannot be written

Every message is one line: what was found, what was expected, what to do.
"""

from __future__ import annotations

__all__ = [
    "AudioError",
    "BundleError",
    "DataError",
    "DeviceNotFoundError",
    "EdgeAsdError",
    "ProfileError",
    "SinkError",
    "UsageError",
]


class EdgeAsdError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code = 1


class UsageError(EdgeAsdError):
    """The command line asks for something impossible."""

    exit_code = 2


class DataError(EdgeAsdError):
    """Recordings that cannot be used."""


class BundleError(EdgeAsdError):
    """A bundle that is missing, damaged, or made for something else."""


class ProfileError(EdgeAsdError):
    """A device profile that cannot be obeyed."""


class AudioError(EdgeAsdError):
    """Capture or decoding failed."""


class DeviceNotFoundError(AudioError):
    """No such sound device; the message lists those there are."""


class SinkError(EdgeAsdError):
    """An output that cannot be written."""
