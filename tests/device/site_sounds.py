"""Sounds and folders that tests of learning on site share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile
from device.mini_bundle import RATE_HZ, WINDOW_SAMPLES, machine_sound
from numpy.typing import NDArray

from edge_asd.audio.block import Block
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Domain
from edge_asd.clips.folder import (
    AUDIO_FILE,
    EVENT_FILE,
    ClearedAlarm,
    ClipGap,
    ClipRecord,
    EventRecord,
    RaisedAlarm,
)
from edge_asd.learn.enrolment import LEAST_WINDOWS, base_for, enrol
from edge_asd.learn.learned import Learned
from edge_asd.learn.recording import HeardSound, SiteRecording
from edge_asd.profile import load_profile
from edge_asd.state.folder import StateFolder

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
Audio = NDArray[np.float32]


def whistle(seconds: float, *, seed: int, hz: float = 1875.0) -> Audio:
    """A normal machine beside a harmless whistle, (2, n)."""
    sound = machine_sound(seconds, seed=seed)
    time_s = np.arange(sound.shape[1]) / RATE_HZ
    tone = 0.15 * np.sin(2 * np.pi * hz * time_s) * np.array([[1.0], [0.5]])
    whistling: Audio = (sound + tone).astype(np.float32)
    return whistling


def heard(bundle: Bundle, audio: Audio, *, domain: Domain = "source") -> HeardSound:
    """What enrolment hears of a sound, windows half a second apart."""
    recording = SiteRecording(
        bundle.detector(), hop_samples=WINDOW_SAMPLES // 2, signal=load_profile().signal
    )
    recording.hear(Block(0, audio))
    return recording.sound(LEAST_WINDOWS[domain])


def enrolled(
    bundle: Bundle,
    audio: Audio,
    *,
    machine: str = "pump-3",
    domain: Domain = "source",
    before: Learned | None = None,
) -> Learned:
    """A machine of which so much was heard."""
    base = base_for(bundle, machine, None, domain, before)
    return enrol(bundle, base, domain, heard(bundle, audio, domain=domain), origin="test", utc=NOW)


def write_alarm(
    state: StateFolder,
    alarm_id: str,
    audio: Audio,
    *,
    since_s: float,
    until_s: float | None,
    start_s: float = 0.0,
    gaps: tuple[ClipGap, ...] = (),
    rate_hz: int = RATE_HZ,
) -> Path:
    """Write what the monitor keeps of an alarm; times are those of the stream."""
    folder = state.events / alarm_id
    folder.mkdir(parents=True)
    soundfile.write(folder / AUDIO_FILE, audio.T, rate_hz, subtype="PCM_16")
    EventRecord(
        alarm=RaisedAlarm(alarm_id=alarm_id, machine=state.machine, above_since_s=since_s),
        cleared=None if until_s is None else ClearedAlarm(stream_time_s=until_s),
        clip=ClipRecord(
            file=AUDIO_FILE,
            state="complete",
            sample_rate_hz=rate_hz,
            start="2026-11-22T08:30:00.000Z",
            start_stream_s=start_s,
            seconds=audio.shape[1] / rate_hz,
            gaps=gaps,
        ),
    ).save(folder / EVENT_FILE)
    return folder
