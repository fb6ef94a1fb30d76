"""Sound at a lower rate than scores are made of: its upper frequencies are missing."""

from __future__ import annotations

__all__ = ["missing_band"]


def missing_band(source_rate_hz: int | None, sample_rate_hz: int) -> str | None:
    """Say which frequencies a source lacks; None where it lacks none, or is not open.

    Parameters
    ----------
    source_rate_hz : of the file, pipe or card
    sample_rate_hz : of what it is resampled to
    """
    if source_rate_hz is None or source_rate_hz >= sample_rate_hz:
        return None
    return (
        f"{source_rate_hz} Hz hold nothing above {source_rate_hz / 2000:g} kHz, scores hear up to "
        f"{sample_rate_hz / 2000:g} kHz: record with {sample_rate_hz} Hz or more"
    )
