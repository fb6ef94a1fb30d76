"""Fill a site recording from a sound card or from files, with progress in the terminal."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edge_asd.audio.block import Block, Source
from edge_asd.audio.source import FileSource, require_usable
from edge_asd.audio.window import n_windows
from edge_asd.bundle.manifest import Domain
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import UsageError
from edge_asd.learn.enrolment import LEAST_WINDOWS
from edge_asd.learn.file_takes import takes_of_files
from edge_asd.learn.recording import SiteRecording
from edge_asd.learn.sound_progress import ShowSound, say_band, say_fault, sound_progress
from edge_asd.profile import Profile
from edge_asd.scoring.detector import Detector

__all__ = ["EnrolmentPlan", "hear_card", "hear_files"]

_MINUTES = 10.0


class EnrolmentPlan:
    """How much sound an enrolment takes, and of what kind.

    Parameters
    ----------
    detector : its extractors embed the windows
    minutes : how long to listen; None: ten minutes of a sound card, all of the files
    accept_faults : see :class:`SiteRecording`

    Raises
    ------
    UsageError
        When so few minutes are too short.
    """

    def __init__(
        self,
        detector: Detector,
        profile: Profile,
        domain: Domain,
        minutes: float | None,
        *,
        accept_faults: bool = False,
    ) -> None:
        self.rate_hz = detector.sample_rate_hz
        self.window_samples = detector.window_samples
        self.capture = profile.capture
        self.least = LEAST_WINDOWS[domain]
        self._detector = detector
        self._signal = profile.signal
        self._accept_faults = accept_faults
        # Half a window apart: the monitor's windows begin anywhere, and twice as many
        # references are nearer to them; held-out blocks share no sample with the others.
        self._hop_samples = max(1, detector.window_samples // 2)
        # How many windows are enough, where a time was asked for.
        self.limit = None if minutes is None else self.n_windows(minutes)
        if self.limit is not None and self.limit < self.least:
            hop_minutes = self._hop_samples / self.rate_hz / 60
            raise UsageError(
                f"--minutes {minutes:g} hold {self.limit} windows, expected at least "
                f"{self.least}: ask for {(self.least + 1) * hop_minutes:.2g} or more"
            )

    def n_windows(self, minutes: float) -> int:
        """How many windows so many minutes hold."""
        samples = round(60 * minutes * self.rate_hz)
        return n_windows(samples, self._detector.window_samples, self._hop_samples)

    def recording(self, takes: Sequence[int] = (), names: Sequence[str] = ()) -> SiteRecording:
        """Begin a recording; parameters are those of :class:`SiteRecording`."""
        return SiteRecording(
            self._detector,
            hop_samples=self._hop_samples,
            signal=self._signal,
            accept_faults=self._accept_faults,
            on_fault=say_fault,
            takes=takes,
            names=names,
        )


def hear_card(
    plan: EnrolmentPlan, device: str | None, stop: threading.Event
) -> tuple[SiteRecording, str]:
    """Listen to a sound card until there is enough, or `stop` is set; say which card.

    Parameters
    ----------
    device : None: the profile's

    Raises
    ------
    AudioError
        When the sound card cannot be opened.
    DataError
        When most of the sound is unusable.
    """
    recording = plan.recording()
    limit = plan.limit or plan.n_windows(_MINUTES)
    card = LiveSource(
        device or plan.capture.device,
        plan.capture.model_copy(update={"wait_s": 0.0}),  # somebody is there to plug it in
        sample_rate_hz=plan.rate_hz,
        report=say_fault,
        stop=stop,
    )
    with closing(card), sound_progress("windows", limit) as show:
        card.open()
        _hear(card, recording, limit, stop, show)
        return recording, card.name


def hear_files(
    plan: EnrolmentPlan, files: Sequence[Path], stop: threading.Event
) -> tuple[SiteRecording, str]:
    """Hear files, each a recording of its own, those that share sound together; say which.

    Raises
    ------
    AudioError
        When files cannot be used; it names all of them.
    DataError
        When most of the sound is unusable.
    """
    channels = plan.capture.near_far
    seconds = require_usable(files, plan.window_samples, plan.rate_hz, stop, channels)
    found = takes_of_files(files, seconds, plan.rate_hz, stop, channels)
    order = sorted(range(len(files)), key=lambda i: found[i])
    recording = plan.recording([found[i] for i in order], [str(files[i]) for i in order])
    with sound_progress("windows", plan.limit) as show:
        for path in (files[i] for i in order):
            file = FileSource(path, sample_rate_hz=plan.rate_hz, channels=channels)
            with closing(file) as source:
                _hear(source, recording, plan.limit, stop, show)
            recording.next_recording()
    if len(files) == 1:
        return recording, str(files[0])
    n_takes = len(set(found))
    shared = f" ({n_takes} takes: some share sound)" if n_takes < len(files) else ""
    return recording, f"{len(files)} files{shared}, {files[0]} first"


def _hear(
    source: Source,
    recording: SiteRecording,
    limit: int | None,
    stop: threading.Event,
    show: ShowSound,
) -> None:
    """Hear a source until its end, until `limit` windows can be used, or `stop` is set."""
    told = False
    while (item := source.read()) is not None:
        if stop.is_set() or (limit and len(recording) >= limit):
            return
        recording.hear(item)
        if isinstance(item, Block) and item.n_frames:
            told = told or say_band(source)
            faults = "; ".join(change.fault.meaning for change in recording.faults)
            show(item.audio, len(recording), faults)
