"""What can go wrong, and with which exit code.

EdgeAsdError            exit 1: something failed
├── UsageError          exit 2: the command line asks for something impossible
├── DataError           recordings that cannot be used
├── BundleError         a bundle that is missing, damaged, or made for something else
├── ProfileError        a device profile that cannot be obeyed
├── AudioError          capture or decoding failed
│   ├── DeviceNotFoundError   no such sound device; the message lists those there are
│   └── DriverHungError       exit 75: a driver that never returns; start the program again
├── StateError          the state folder, or what is learned there, cannot be used
├── ControlError        no monitor runs, or it refuses a request
└── OutputError           an output that cannot be written
    └── EventRefusedError     it will never take this event; the next one it may

Every message is one line: what was found, what was expected, what to do.
"""

from __future__ import annotations

__all__ = [
    "AudioError",
    "BundleError",
    "ControlError",
    "DataError",
    "DeviceNotFoundError",
    "DriverHungError",
    "EdgeAsdError",
    "EventRefusedError",
    "OutputError",
    "ProfileError",
    "ReaderGoneError",
    "StateError",
    "UsageError",
    "one_line",
    "reason",
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


class DriverHungError(AudioError):
    """A sound driver that never returns; only a new process can use it again."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


class StateError(EdgeAsdError):
    """The state folder, or what is learned there, cannot be used."""


class ControlError(EdgeAsdError):
    """No monitor runs, or it refuses a request."""


class OutputError(EdgeAsdError):
    """An output that cannot be written.

    Parameters
    ----------
    retry_after_s : for so long the other side asks not to be tried again
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EventRefusedError(OutputError):
    """The output will never take this event; the next one it may.

    Parameters
    ----------
    patience_s : the event is given up only when it has been refused for so long
    """

    def __init__(self, message: str, *, patience_s: float = 0.0) -> None:
        super().__init__(message)
        self.patience_s = patience_s


class ReaderGoneError(OutputError):
    """Whoever read the output has closed it."""


def reason(error: BaseException) -> str:
    """Return in one line what ended the program; of what is no error of a user also its kind."""
    if isinstance(error, (EdgeAsdError, OSError)):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")


def one_line(error: BaseException) -> str:
    """Return what went wrong, for people; what this program raises may list several problems."""
    if isinstance(error, EdgeAsdError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
