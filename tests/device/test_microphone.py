"""Capture: the ring, the callback, and what happens when the card misbehaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from device.fake_card import FakeCards, require_portaudio
from device.stream import noise
from hypothesis import given
from hypothesis import strategies as st

from edge_asd import microphone
from edge_asd.errors import AudioError
from edge_asd.microphone import MicrophoneSource
from edge_asd.ring import BlockRing
from edge_asd.sound_device import InputDevice

CARD = InputDevice(0, "hw:1,0", "ALSA", 2, 48000)
BLOCK = 4800


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class FakeStream:
    """Stands for ``sounddevice.InputStream``; `deliver` plays PortAudio's thread."""

    def __init__(self, *, callback: Callable[..., None], **settings: Any) -> None:
        self.settings = settings
        self.callback = callback
        self.active = True
        self.on_close: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Nothing arrives by itself."""

    def close(self) -> None:
        self.on_close()

    def deliver(self, value: float = 0.5, *, overflow: bool = False) -> None:
        frames = np.full((BLOCK, 2), value, np.float32)
        self.callback(frames, BLOCK, None, SimpleNamespace(input_overflow=overflow))


class FakeSoundDevice:
    """Stands for the module ``sounddevice``."""

    class PortAudioError(Exception):
        """As the real one."""

    def __init__(self, rates_hz: tuple[int, ...] = (48000,), refusal: str = "") -> None:
        self.rates_hz = rates_hz
        self.refusal = refusal
        self.exit_handler_calls = 0
        self.stream: FakeStream | None = None

    def check_input_settings(self, *, samplerate: int, **_: object) -> None:
        if samplerate not in self.rates_hz:
            raise self.PortAudioError(f"Invalid sample rate {self.refusal}")

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: N802
        if self.refusal:
            raise self.PortAudioError(self.refusal)
        self.stream = FakeStream(**settings)
        return self.stream

    def _exit_handler(self) -> None:
        self.exit_handler_calls += 1


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    fake = FakeSoundDevice()
    monkeypatch.setattr(microphone, "load_sounddevice", lambda: fake)
    monkeypatch.setattr(microphone, "_POLL_S", 0.001)
    return fake


def open_card(
    portaudio: FakeSoundDevice, clock: Clock | None = None, **settings: float
) -> tuple[MicrophoneSource, FakeStream]:
    source = MicrophoneSource(CARD, preferred_rate_hz=16000, clock=clock or Clock(), **settings)
    assert portaudio.stream is not None
    return source, portaudio.stream


@given(
    writes=st.lists(st.integers(0, 8), max_size=30),
    n_blocks=st.integers(1, 6),
    frames=st.integers(1, 10),
)
def test_the_ring_loses_nothing_without_counting_it(
    writes: list[int], n_blocks: int, frames: int
) -> None:
    ring = BlockRing(n_blocks, frames)
    stream = noise(frames * sum(writes))
    position = n_read = 0

    for n_writes in writes:
        for _ in range(n_writes):
            ring.write(stream[:, position : position + frames].T)
            position += frames
        while (block := ring.read(0)) is not None:
            start = block.start_frame
            assert np.array_equal(block.audio, stream[:, start : start + frames])
            n_read += frames

    assert n_read + ring.dropped_frames == position
    assert ring.n_waiting == 0


def test_a_full_ring_keeps_the_old_blocks_and_marks_the_next_that_fits() -> None:
    ring = BlockRing(2, 10)
    for value in range(5):
        ring.write(np.full((10, 2), value, np.float32))
    first, second = ring.read(0), ring.read(0)
    ring.write(np.full((10, 2), 9, np.float32))
    third = ring.read(0)

    assert first is not None and second is not None and third is not None
    assert [block.start_frame for block in (first, second, third)] == [0, 10, 50]
    assert [block.gap is None for block in (first, second, third)] == [True, True, False]
    assert ring.dropped_frames == 30


def test_a_slow_reader_gets_long_stretches_and_not_a_gap_after_every_block() -> None:
    ring = BlockRing(10, 4)
    blocks = []

    for _ in range(100):  # three blocks come for every one that is read
        for _ in range(3):
            ring.write(np.zeros((4, 2), np.float32))
        blocks.append(ring.read(0))

    starts = np.array([block.start_frame for block in blocks if block is not None])
    stretches = np.split(starts, np.flatnonzero(np.diff(starts) != 4) + 1)
    assert min(len(stretch) for stretch in stretches[:-1]) >= 10


def test_a_block_that_was_read_is_not_overwritten() -> None:
    ring = BlockRing(1, 4)
    ring.write(np.ones((4, 2), np.float32))
    block = ring.read(0)
    ring.write(np.zeros((4, 2), np.float32))

    assert block is not None
    assert block.audio.all()


def test_a_ring_between_two_threads_delivers_every_frame_or_counts_it() -> None:
    ring = BlockRing(4, 16)
    n_blocks = 2000

    def produce() -> None:
        for i in range(n_blocks):
            ring.write(np.full((16, 2), i, np.float32))

    producer = threading.Thread(target=produce)
    producer.start()
    found = []
    while producer.is_alive() or ring.n_waiting:
        block = ring.read(0.01)
        if block is not None:
            found.append(block)
    producer.join()

    assert all((block.audio == block.start_frame / 16).all() for block in found)
    assert 16 * len(found) + ring.dropped_frames == 16 * n_blocks


def test_blocks_arrive_in_order(portaudio: FakeSoundDevice) -> None:
    source, stream = open_card(portaudio)
    for value in (0.1, 0.2):
        stream.deliver(value)
    blocks = source.blocks()

    first, second = next(blocks), next(blocks)

    assert (first.start_frame, second.start_frame) == (0, BLOCK)
    assert first.audio.shape == (2, BLOCK)
    assert (first.audio == np.float32(0.1)).all()
    assert stream.settings["blocksize"] == BLOCK


def test_an_overflow_that_the_driver_reports_is_a_gap(portaudio: FakeSoundDevice) -> None:
    source, stream = open_card(portaudio)
    stream.deliver()
    stream.deliver(overflow=True)
    blocks = source.blocks()

    assert next(blocks).gap is None
    assert "overflow" in (next(blocks).gap or "")


def test_a_slow_reader_loses_audio_and_the_position_tells_how_much(
    portaudio: FakeSoundDevice,
) -> None:
    source, stream = open_card(portaudio, ring_s=0.3)
    for _ in range(5):
        stream.deliver()
    assert source.backlog_s == pytest.approx(0.3)
    blocks = source.blocks()
    for _ in range(3):
        next(blocks)

    stream.deliver()
    after = next(blocks)

    assert after.start_frame == 5 * BLOCK
    assert "ran full" in (after.gap or "")


def test_a_card_that_stalled_comes_back_as_a_gap_of_that_length(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    source, stream = open_card(portaudio, clock)
    stream.deliver()
    clock.now_s += 7.1
    stream.deliver()
    blocks = source.blocks()
    next(blocks)

    after = next(blocks)

    assert after.start_frame == BLOCK + 7 * 48000
    assert "nothing for a while" in (after.gap or "")


def test_a_silent_card_gives_empty_blocks_and_then_an_error(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    source, stream = open_card(portaudio, clock, stall_timeout_s=15)
    stream.deliver()
    blocks = source.blocks()
    next(blocks)

    clock.now_s += 14
    assert next(blocks).n_frames == 0
    clock.now_s += 2
    with pytest.raises(AudioError, match="delivered nothing for 15 s"):
        next(blocks)


def test_an_unplugged_card_is_an_error(portaudio: FakeSoundDevice) -> None:
    source, stream = open_card(portaudio)
    stream.active = False

    with pytest.raises(AudioError, match="'hw:1,0' is gone"):
        next(source.blocks())


@pytest.mark.parametrize(
    ("supported", "expected"),
    [((48000, 16000, 44100), 48000), ((16000, 44100), 16000), ((44100,), 44100)],
)
def test_the_rate_is_the_cards_own_then_the_bundles_then_a_common_one(
    portaudio: FakeSoundDevice, supported: tuple[int, ...], expected: int
) -> None:
    portaudio.rates_hz = supported

    source, stream = open_card(portaudio)

    assert source.sample_rate_hz == stream.settings["samplerate"] == expected


def test_a_card_without_a_usable_rate_is_an_error(portaudio: FakeSoundDevice) -> None:
    portaudio.rates_hz = ()

    with pytest.raises(AudioError, match=r"cannot record two channels from .*'hw:1,0'"):
        open_card(portaudio)


def test_a_busy_card_is_named_as_busy(portaudio: FakeSoundDevice) -> None:
    portaudio.refusal = "Error opening InputStream: Device unavailable [PaErrorCode -9985]"

    with pytest.raises(AudioError, match="'hw:1,0' is busy") as raised:
        open_card(portaudio)
    assert "\n" not in str(raised.value)


def test_a_card_that_was_taken_before_the_start_is_named_as_busy(
    portaudio: FakeSoundDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, stream = open_card(portaudio)

    def refuse() -> None:
        raise portaudio.PortAudioError("Error starting stream: Device unavailable")

    monkeypatch.setattr(stream, "start", refuse)

    with pytest.raises(AudioError, match="'hw:1,0' is busy"):
        next(source.blocks())


def test_closing_a_hung_card_gives_up(
    portaudio: FakeSoundDevice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(microphone, "_CLOSE_DEADLINE_S", 0.05)
    source, stream = open_card(portaudio)
    released = threading.Event()
    stream.on_close = released.wait
    started_s = time.monotonic()

    source.close()
    source.close()

    released.set()
    assert time.monotonic() - started_s < 5
    assert "hangs" in caplog.text


CAPTURE = """
import sys
import numpy as np
from edge_asd.microphone import MicrophoneSource
from edge_asd.sound_device import input_devices, resolve
source = MicrophoneSource(resolve(sys.argv[1], input_devices()), preferred_rate_hz=16000)
blocks = source.blocks()
audio = np.concatenate([next(blocks).audio for _ in range(8)], axis=1)
np.save(sys.argv[2], audio)
source.close()
"""


@pytest.mark.parametrize("query", ["hw:1", "plughw:1,0", "0"])
def test_a_card_is_captured_bit_by_bit(tmp_path: Path, query: str) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    audio = (np.round(noise(48000) * 32767) / 32768).astype(np.float32)

    with cards.add_fifo(1, audio):
        subprocess.run(
            [sys.executable, "-c", CAPTURE, query, str(tmp_path / "found.npy")],
            env=os.environ | cards.environment | {"PYTHONPATH": ":".join(sys.path)},
            check=True,
            timeout=60,
        )

    found = np.load(tmp_path / "found.npy")
    assert np.array_equal(found, audio[:, : found.shape[1]])
