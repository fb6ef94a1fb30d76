"""One long synthetic recording: healthy, then faulty, then healthy again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.errors import UsageError
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd.state.atomic import atomic_file
from edge_asd_export.synth.dataset import SEVERITIES, FaultLevel
from edge_asd_export.synth.machine import Machine
from edge_asd_export.synth.scene import GAIN_JITTER_DB, Draws, render

__all__ = ["Stream", "render_stream", "write_stream"]

_ONSET_S = 0.2  # the fault grows and fades over this time, so that its edges do not click


@dataclass(frozen=True, slots=True)
class Stream:
    """A recording with a planted fault."""

    audio: NDArray[np.float32]  # (2, n_samples): near, far
    sample_rate_hz: int
    fault: str
    fault_start_s: float
    fault_end_s: float

    @property
    def length_s(self) -> float:
        """Length of the whole recording."""
        return self.audio.shape[1] / self.sample_rate_hz


def render_stream(
    machine: Machine,
    fault: str,
    *,
    normal_s: float,
    fault_s: float,
    level: FaultLevel = "strong",
    seed: int = 0,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    gain_jitter_db: float = GAIN_JITTER_DB,
) -> Stream:
    """A machine that runs without interruption and is faulty from `normal_s` for `fault_s`.

    It runs at the first source operating point, at the site of the data sets; the speed, the
    room and the background go on unbroken while the fault comes and goes. The length is
    2 `normal_s` + `fault_s`. Above 16 kHz the recording is resampled and holds nothing above
    8 kHz.

    Raises
    ------
    UsageError
        When a duration is too short or the rate is below 16 kHz.
    """
    if normal_s < 1 or fault_s < 2 * _ONSET_S:
        raise UsageError(
            f"normal part {normal_s:g} s and fault {fault_s:g} s, expected at least 1 s and "
            f"{2 * _ONSET_S:g} s"
        )
    if sample_rate_hz < SAMPLE_RATE_HZ:
        raise UsageError(f"rate {sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz or more")
    time_s = np.arange(round((2 * normal_s + fault_s) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    end_s = normal_s + fault_s
    shape = np.interp(
        time_s, (normal_s, normal_s + _ONSET_S, end_s - _ONSET_S, end_s), (0, 1, 1, 0)
    )
    audio = render(
        machine,
        machine.source[0],
        "source",
        Draws(seed, (machine.name, "stream")),
        shape * np.mean(SEVERITIES[level]),
        fault=fault,
        gain_jitter_db=gain_jitter_db,
    ).recording
    if sample_rate_hz != SAMPLE_RATE_HZ:
        import soxr

        resampled = soxr.resample(audio.T, SAMPLE_RATE_HZ, sample_rate_hz).T
        audio = np.clip(resampled, -1, 1, dtype=np.float32)
    return Stream(audio, sample_rate_hz, fault, normal_s, end_s)


def write_stream(path: Path, stream: Stream, *, force: bool = False) -> None:
    """A 16-bit WAV file of the stream, complete or not at all.

    Raises
    ------
    UsageError
        When the file exists and `force` is not given, or its name does not end in .wav.
    """
    if path.suffix.lower() != ".wav":
        raise UsageError(f"{path}: expected a name that ends in .wav")
    if path.exists() and not force:
        raise UsageError(f"{path}: exists; choose another name, or --force to replace it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        soundfile.write(file, stream.audio.T, stream.sample_rate_hz, "PCM_16", format="WAV")
