"""One opened stream: what its callback counts, keeps and marks as a gap."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from device.fake_card import FakeCards, require_portaudio
from device.stream import noise

from edge_asd.capture import microphone, sound_device
from edge_asd.capture.microphone import Microphone
from edge_asd.capture.ring import Arrival
from edge_asd.capture.sound_device import DeviceChoice, InputDevice
from edge_asd.errors import AudioError
from edge_asd.profile import load_profile

CARD = DeviceChoice(InputDevice(0, "hw:1,0", "ALSA", 2, 48000), "it is on card 1", "hw:1,0")
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
        self.active = False
        self.refusal: Exception | None = None
        self.is_closed = False

    def start(self) -> None:
        if self.refusal:
            raise self.refusal
        self.active = True

    def close(self) -> None:
        self.is_closed = True

    def deliver(self, value: float = 0.5, *, overflow: bool = False) -> None:
        frames = np.full((BLOCK, 2), value, np.float32)
        self.callback(frames, BLOCK, None, SimpleNamespace(input_overflow=overflow))


class FakeSoundDevice:
    """Stands for the module ``sounddevice``."""

    class PortAudioError(Exception):
        """As the real one."""

    def __init__(self, rates_hz: tuple[int, ...] = (48000,)) -> None:
        self.rates_hz = rates_hz
        self.open_refusal = self.start_refusal = ""
        self.stream: FakeStream | None = None

    def check_input_settings(self, *, samplerate: int, **_: object) -> None:
        if samplerate not in self.rates_hz:
            raise self.PortAudioError("Invalid sample rate")

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: N802
        if self.open_refusal:
            raise self.PortAudioError(self.open_refusal)
        self.stream = FakeStream(**settings)
        if self.start_refusal:
            self.stream.refusal = self.PortAudioError(self.start_refusal)
        return self.stream


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    fake = FakeSoundDevice()
    for module in (microphone, sound_device):
        monkeypatch.setattr(module, "load_sounddevice", lambda: fake)
    monkeypatch.setattr(microphone, "_RUNAWAY_CHECK_S", 0.001)
    return fake


def open_card(
    portaudio: FakeSoundDevice, clock: Clock | None = None, **settings: float
) -> tuple[Microphone, FakeStream]:
    opened = Microphone(
        CARD,
        load_profile().capture.model_copy(update=settings),
        preferred_rate_hz=16000,
        clock=clock or Clock(),
    )
    assert portaudio.stream is not None
    return opened, portaudio.stream


def read(opened: Microphone) -> Arrival:
    arrival = opened.read(0)
    assert arrival is not None
    return arrival


def test_blocks_arrive_in_order_and_say_when(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock)
    for value in (0.1, 0.2):
        clock.now_s += 0.1
        stream.deliver(value)

    first, second = read(opened), read(opened)

    assert (first.block.start_frame, second.block.start_frame) == (0, BLOCK)
    assert first.block.audio.shape == (2, BLOCK)
    assert (first.block.audio == np.float32(0.1)).all()
    assert [first.at_s, second.at_s] == pytest.approx([100.1, 100.2])
    assert stream.settings["blocksize"] == BLOCK
    assert opened.counts.n_frames == 2 * BLOCK
    assert opened.read(0) is None


def test_an_overflow_that_the_driver_reports_is_a_gap(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock)
    stream.deliver()
    clock.now_s += 1.0
    stream.deliver(overflow=True)

    assert read(opened).gap is None
    after = read(opened)
    assert after.gap is not None
    assert "overflow" in after.gap.reason
    assert after.gap.lost_frames == pytest.approx(0.9 * 48000)
    assert after.block.start_frame == BLOCK + after.gap.lost_frames
    assert opened.counts.n_gaps == 1


def test_an_overflow_within_the_jitter_of_the_callback_has_no_length(
    portaudio: FakeSoundDevice,
) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock)
    stream.deliver()
    clock.now_s += 0.15
    stream.deliver(overflow=True)
    read(opened)

    after = read(opened)

    assert after.gap is not None
    assert (after.block.start_frame, after.gap.lost_frames) == (BLOCK, 0)


def test_a_slow_reader_loses_audio_and_the_position_tells_how_much(
    portaudio: FakeSoundDevice,
) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock, ring_s=0.3)
    for _ in range(5):
        clock.now_s += 0.1
        stream.deliver()
    assert opened.backlog_s == pytest.approx(0.3)
    for _ in range(3):
        read(opened)

    stream.deliver()
    after = read(opened)

    assert after.gap is not None
    assert (after.gap.end_frame, after.gap.lost_frames) == (5 * BLOCK, 2 * BLOCK)
    assert "ran full" in after.gap.reason


def test_a_card_that_stalled_comes_back_as_a_gap_of_that_length(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock)
    stream.deliver()
    clock.now_s += 7.1
    stream.deliver()
    read(opened)

    after = read(opened)

    assert after.gap is not None
    assert (after.gap.end_frame, after.gap.lost_frames) == (BLOCK + 7 * 48000, 7 * 48000)
    assert "nothing for a while" in after.gap.reason


def test_a_late_first_block_is_no_gap(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock)
    clock.now_s += 8
    stream.deliver(overflow=True)

    first = read(opened)

    assert (first.block.start_frame, first.gap) == (0, None)


def test_a_flood_is_noticed_at_once_and_none_of_it_is_read(portaudio: FakeSoundDevice) -> None:
    clock = Clock()
    opened, stream = open_card(portaudio, clock)
    for value in (1.0, 2.0, 3.0):
        clock.now_s += 0.1
        stream.deliver(value)
    clock.now_s += 0.1

    for _ in range(20):  # two seconds of audio within one moment
        stream.deliver(9.0)

    assert opened.counts.is_runaway
    found = [arrival.block.audio[0, 0] for _ in range(30) if (arrival := opened.read(0))]
    assert found == [1.0, 2.0, 3.0]
    assert opened.backlog_s == 0


def test_a_stream_that_portaudio_ended_is_not_active(portaudio: FakeSoundDevice) -> None:
    opened, stream = open_card(portaudio)
    assert opened.active

    stream.active = False

    assert not opened.active


@pytest.mark.parametrize(
    ("supported", "expected"),
    [((48000, 16000, 44100), 48000), ((16000, 44100), 16000), ((44100,), 44100)],
)
def test_the_rate_is_the_cards_own_then_the_bundles_then_a_common_one(
    portaudio: FakeSoundDevice, supported: tuple[int, ...], expected: int
) -> None:
    portaudio.rates_hz = supported

    opened, stream = open_card(portaudio)

    assert opened.sample_rate_hz == stream.settings["samplerate"] == expected


def test_a_card_without_a_usable_rate_is_an_error(portaudio: FakeSoundDevice) -> None:
    portaudio.rates_hz = ()

    with pytest.raises(AudioError, match=r"cannot record two channels from .*'hw:1,0'"):
        open_card(portaudio)


def test_a_busy_card_is_named_as_busy(portaudio: FakeSoundDevice) -> None:
    portaudio.open_refusal = "Error opening InputStream: Device unavailable [PaErrorCode -9985]"

    with pytest.raises(AudioError, match="'hw:1,0' is busy") as raised:
        open_card(portaudio)
    assert "\n" not in str(raised.value)


def test_what_the_sound_system_says_is_told(
    portaudio: FakeSoundDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = portaudio.PortAudioError("Unanticipated host error", -9999, (0, -5, "Input/output\n"))

    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(portaudio, "InputStream", refuse)

    with pytest.raises(AudioError, match=r"'hw:1,0': Unanticipated host error: Input/output$"):
        open_card(portaudio)


def test_a_card_that_was_taken_before_the_start_is_busy_and_let_go(
    portaudio: FakeSoundDevice,
) -> None:
    portaudio.start_refusal = "Error starting stream: Device unavailable"

    with pytest.raises(AudioError, match="'hw:1,0' is busy"):
        open_card(portaudio)
    assert portaudio.stream is not None
    assert portaudio.stream.is_closed


CAPTURE = """
import sys
import numpy as np
from edge_asd.capture.microphone import Microphone
from edge_asd.capture.sound_device import input_devices, resolve
from edge_asd.profile import load_profile
choice = resolve(sys.argv[1], input_devices())
opened = Microphone(choice, load_profile().capture, preferred_rate_hz=16000)
blocks = []
while len(blocks) < 8:
    if (arrival := opened.read(1.0)) is not None:
        blocks.append(arrival.block.audio)
np.save(sys.argv[2], np.concatenate(blocks, axis=1))
opened.close()
"""


@pytest.mark.parametrize("query", ["hw:1", "plughw:1,0", "0"])
def test_a_card_is_captured_bit_by_bit(tmp_path: Path, query: str) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    audio = (np.round(noise(4 * 48000) * 32767) / 32768).astype(np.float32)

    with cards.add_fifo(1, audio):
        subprocess.run(
            [sys.executable, "-c", CAPTURE, query, str(tmp_path / "found.npy")],
            env=os.environ | cards.environment | {"PYTHONPATH": ":".join(sys.path)},
            check=True,
            timeout=300,
        )

    found = np.load(tmp_path / "found.npy")
    assert np.array_equal(found, audio[:, : found.shape[1]])
