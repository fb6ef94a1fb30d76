"""The capture through missing, dying, stalling, flooding and hanging cards.

First with a card whose clock follows its samples, then with real PortAudio and real pace.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.fake_kernel import KernelCard, write_kernel
from device.fake_microphone import FakeCard, Opening
from device.stream import noise
from places import ROOT

from edge_asd.audio.source import Block
from edge_asd.capture import live_source as capture_module
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import AudioError, DeviceNotFoundError, DriverHungError, UsageError
from edge_asd.events.fault import FaultChange
from edge_asd.profile import load_profile

_PROGRAM = ROOT / "tests/device/capture_program.py"
RATE_HZ = 16000
_HOUR_S = 3600
SETTINGS = load_profile().capture
MISSING = DeviceNotFoundError("no sound device 'hw:1'; there are none")


class Listener:
    """A capture from a fake card, and what it said."""

    def __init__(
        self,
        plan: Iterable[Opening | Exception],
        *,
        root: Path = Path("/nonexistent"),
        **settings: Any,
    ) -> None:
        self.card = FakeCard(plan)
        self.began_s = self.card.clock()
        self.changes: list[FaultChange] = []
        self.stop = threading.Event()
        self.capture = LiveSource(
            "hw:1",
            SETTINGS.model_copy(update=settings),
            sample_rate_hz=RATE_HZ,
            report=self.changes.append,
            stop=self.stop,
            clock=self.card.clock,
            root=root,
            opener=self.card.opener,
            sleep=self.card.clock.sleep,
        )
        self.blocks = self.capture.blocks()

    def until(self, seconds: float) -> list[Block]:
        """Blocks until so much time has passed since the start."""
        return list(
            itertools.takewhile(lambda _: self.card.clock() - self.began_s < seconds, self.blocks)
        )

    @property
    def state(self) -> str:
        return self.capture.state

    @property
    def story(self) -> list[tuple[str, bool]]:
        return [(change.fault.name, change.active) for change in self.changes]


def audible(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if block.n_frames]


def gaps(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if block.gap is not None]


def test_a_healthy_card_is_one_stretch_without_its_warm_up() -> None:
    listener = Listener([Opening()])

    blocks = audible(listener.until(10))

    starts = [block.start_frame for block in blocks]
    assert starts == list(range(0, 1600 * len(starts), 1600))
    assert not gaps(blocks)
    warm_up_frames = round(SETTINGS.warmup_s * RATE_HZ)
    assert np.array_equal(blocks[0].audio, listener.card.audio(warm_up_frames, 1600))
    assert (listener.capture.name, listener.capture.source_rate_hz) == ("hw:1,0", RATE_HZ)
    assert (listener.state, listener.changes) == ("healthy", [])


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_blocks_have_the_rate_that_was_asked_for(rate_hz: int) -> None:
    listener = Listener([Opening(rate_hz=rate_hz)])

    blocks = audible(listener.until(5))

    assert blocks[-1].end_frame == pytest.approx((5 - SETTINGS.warmup_s) * RATE_HZ, abs=3200)
    assert sum(block.n_frames for block in blocks) == blocks[-1].end_frame


def test_a_card_that_is_missing_at_the_start_is_waited_for() -> None:
    listener = Listener([MISSING, MISSING, MISSING, Opening()])

    blocks = listener.until(20)

    (first,) = gaps(blocks)
    opened_s = listener.card.asked[-1][2] - listener.began_s
    assert opened_s == pytest.approx(1 + 2 + 4)
    assert first.start_frame / RATE_HZ == pytest.approx(opened_s + SETTINGS.warmup_s, abs=0.01)
    assert listener.story == [("capture_missing", True), ("capture_missing", False)]
    assert listener.changes[1].figures["lost_s"] == pytest.approx(7.5, abs=0.01)
    assert listener.capture.reopened == 0


def test_while_a_card_is_missing_empty_blocks_come_often() -> None:
    listener = Listener([MISSING] * 9)
    times = []

    for block in itertools.islice(listener.blocks, 200):
        assert (block.start_frame, block.n_frames, block.gap) == (0, 0, None)
        times.append(listener.card.clock())

    assert max(np.diff(times)) <= 0.2 + 1e-9
    assert (listener.state, listener.capture.name) == ("lost", "hw:1")


def test_an_unplugged_card_is_reopened_by_its_lasting_name() -> None:
    listener = Listener([Opening(dies_after_s=10), MISSING, Opening(name="hw:2,0")])

    blocks = listener.until(40)

    names, refresh, _ = zip(*listener.card.asked, strict=True)
    assert names == ("hw:1", "usb:0d8c:0014", "usb:0d8c:0014")
    assert refresh == (False, True, True)
    assert listener.capture.name == "hw:2,0"
    assert listener.card.microphones[0].closed
    (after,) = gaps(blocks)
    assert after.gap is not None
    stopped, missing, back = listener.changes
    assert {change.fault.name for change in listener.changes} == {"capture_lost"}
    assert "stopped" in stopped.detail
    assert "no sound device" in missing.detail
    assert not back.active
    assert (listener.state, listener.capture.reopened) == ("healthy", 1)


def test_positions_count_every_outage_by_the_clock() -> None:
    rng = np.random.default_rng(0)
    plan: list[Opening | Exception] = []
    for _ in range(10):
        plan += [Opening(dies_after_s=float(rng.uniform(0.1, 40)), rate_hz=8000)]
        plan += [MISSING] * int(rng.integers(0, 4))
    listener = Listener([*plan, Opening()])

    everything = listener.until(_HOUR_S)
    blocks = audible(everything)

    starts = np.array([block.start_frame for block in blocks])
    ends = np.array([block.end_frame for block in blocks])
    assert (starts[1:] >= ends[:-1]).all()
    missing_before = {
        block.start_frame
        for before, block in itertools.pairwise(blocks)
        if block.start_frame != before.end_frame
    }
    assert missing_before == {block.start_frame for block in gaps(everything)}
    # Only the very first warm-up is not part of the stream.
    lag_s = _HOUR_S - SETTINGS.warmup_s - ends[-1] / RATE_HZ
    assert lag_s == pytest.approx(0, abs=0.3)
    told_s = sum(c.figures["lost_s"] for c in listener.changes if not c.active)  # type: ignore[misc]
    real_s = (starts[1:] - ends[:-1]).sum() / RATE_HZ
    assert told_s == pytest.approx(real_s, rel=0.01)


def test_a_card_that_stalls_goes_on_after_a_gap() -> None:
    listener = Listener([Opening(stalls=((10.0, 7.0),))])

    blocks = listener.until(30)

    (after,) = gaps(blocks)
    assert after.start_frame / RATE_HZ == pytest.approx(10 - 0.5 + 7, abs=0.3)
    assert listener.story == [("capture_stalled", True), ("capture_stalled", False)]
    assert listener.changes[1].figures["lost_s"] == pytest.approx(7, abs=0.3)
    assert len(listener.card.asked) == 1


def test_a_card_that_stalls_for_ever_is_opened_again() -> None:
    listener = Listener([Opening(stalls=((10.0, 1e9),)), Opening()])

    listener.until(40)

    assert listener.card.microphones[0].closed
    assert {name for name, _ in listener.story} == {"capture_stalled"}
    assert listener.state == "healthy"
    lost_s = SETTINGS.stall_timeout_s + SETTINGS.retry_min_s + SETTINGS.warmup_s
    assert listener.changes[-1].figures["lost_s"] == pytest.approx(lost_s, abs=0.5)


def test_a_flood_is_never_handed_on() -> None:
    listener = Listener([Opening(floods_after_s=3), Opening()])

    blocks = audible(listener.until(10))

    (after,) = gaps(blocks)
    before = [block for block in blocks if block.start_frame < after.start_frame]
    assert before[-1].end_frame == 3 * RATE_HZ - SETTINGS.warmup_s * RATE_HZ
    assert listener.story == [("capture_runaway", True), ("capture_runaway", False)]


def test_overflows_are_gaps_and_then_a_fault() -> None:
    listener = Listener([Opening(gaps_at_s=(5, 10, 15))])

    blocks = listener.until(20)

    assert [block.gap for block in gaps(blocks)] == ["an overflow"] * 3
    assert listener.story == [("capture_overflow", True)]
    assert listener.state == "degraded"


def test_a_card_with_a_wrong_clock_is_told_and_still_heard() -> None:
    listener = Listener([Opening(speed=1.01)])

    blocks = audible(listener.until(30))

    assert not gaps(blocks)
    assert listener.story == [("capture_wrong_rate", True)]
    assert listener.capture.drift_ppm == pytest.approx(10_000, abs=100)
    assert listener.state == "degraded"


def test_a_busy_card_is_waited_for() -> None:
    listener = Listener([AudioError("sound device 'hw:1,0' is busy"), Opening()])

    listener.until(10)

    assert listener.changes[0].detail == "sound device 'hw:1,0' is busy"
    assert listener.story == [("capture_lost", True), ("capture_lost", False)]


@pytest.mark.parametrize("error", [MISSING, AudioError("sound device 'hw:1,0' is busy")])
def test_without_waiting_a_missing_card_ends_it(error: AudioError) -> None:
    listener = Listener([error], wait_s=0.0)

    with pytest.raises(AudioError) as raised:
        listener.capture.open()
    assert raised.value is error


def test_without_waiting_a_lost_card_ends_it() -> None:
    listener = Listener([Opening(dies_after_s=10)], wait_s=0.0)

    with pytest.raises(AudioError, match="the sound card stopped"):
        listener.until(20)


def test_patience_ends_after_the_time_in_the_profile() -> None:
    listener = Listener([Opening(dies_after_s=10), *[MISSING] * 99], wait_s=30.0)

    with pytest.raises(AudioError, match=r"is away, and the wait of 30 s .*no sound device"):
        listener.until(100)

    assert listener.card.clock() - listener.began_s == pytest.approx(40, abs=0.5)


def test_a_name_that_can_never_be_a_device_ends_it_at_once() -> None:
    error = UsageError("'hw:' names no sound card")
    listener = Listener([error])

    with pytest.raises(UsageError, match="names no sound card"):
        next(listener.blocks)


def test_a_second_card_that_is_alike_does_not_end_a_running_capture() -> None:
    ambiguous = UsageError("2 sound devices are called 'usb:0d8c:0014'")
    listener = Listener([Opening(dies_after_s=5), ambiguous, Opening()])

    listener.until(20)

    assert listener.state == "healthy"
    assert "2 sound devices" in listener.changes[1].detail


def test_a_card_that_is_plugged_in_is_tried_before_the_pause_is_over(tmp_path: Path) -> None:
    root = write_kernel(tmp_path, [KernelCard(0, "PCH")], sys=False)
    listener = Listener([*[MISSING] * 8, Opening()], root=root)
    listener.until(1 + 2 + 4 + 8 + 16 + 32 + 60 + 5)

    write_kernel(tmp_path, [KernelCard(0, "PCH"), KernelCard(1, "Device")], sys=False)
    plugged_in_s = listener.card.clock()
    listener.until(200)

    assert listener.card.asked[-1][2] - plugged_in_s == pytest.approx(1.5, abs=1)
    assert listener.state == "healthy"


def test_other_cards_coming_and_going_do_not_hurry_a_failing_one(tmp_path: Path) -> None:
    root = write_kernel(tmp_path, [KernelCard(0, "PCH")], sys=False)
    listener = Listener([AudioError("input/output error")] * 99, root=root)
    listener.until(1 + 2 + 4 + 8 + 16 + 5)

    write_kernel(tmp_path, [KernelCard(0, "PCH"), KernelCard(1, "Device")], sys=False)
    n_asked = len(listener.card.asked)
    listener.until(1 + 2 + 4 + 8 + 16 + 25)

    assert len(listener.card.asked) == n_asked


@pytest.mark.parametrize("plan", [[Opening()], [MISSING] * 3], ids=["heard", "missing"])
def test_a_request_to_stop_ends_the_stream(plan: list[Opening | Exception]) -> None:
    listener = Listener(plan)
    listener.until(2)

    listener.stop.set()

    assert len(list(listener.blocks)) <= 2
    listener.capture.close()
    listener.capture.close()
    assert all(each.closed for each in listener.card.microphones)


def test_each_opening_says_what_was_chosen_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    listener = Listener([Opening(dies_after_s=5), Opening(name="hw:2,0")])

    listener.until(20)

    said = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert len(said) == 2
    assert "'hw:1,0' at 16000 Hz, because a test wants it" in said[0]
    assert "'hw:2,0'" in said[1]
    assert all("'usb:0d8c:0014'" in line for line in said)


def test_a_card_that_hangs_when_it_is_closed_ends_with_exit_code_75(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capture_module, "_CLOSE_DEADLINE_S", 0.05)
    listener = Listener([Opening(dies_after_s=5, close_hangs=True)])

    with pytest.raises(DriverHungError, match="hangs: its driver did not return") as raised:
        listener.until(20)

    listener.card.release.set()
    assert raised.value.exit_code == 75
    assert listener.state == "hung"
    assert "did not return" in listener.changes[-1].detail


def test_a_card_that_hangs_when_it_is_opened_ends_the_same_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capture_module, "_OPEN_DEADLINE_S", 0.05)
    listener = Listener([])
    released = listener.card.release

    def hang(_name: str, _refresh: bool) -> Any:
        released.wait()
        raise MISSING

    listener.capture._opener = hang
    with pytest.raises(DriverHungError):
        next(listener.blocks)

    released.set()
    assert listener.state == "hung"


def test_closing_a_hung_card_at_the_end_gives_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(capture_module, "_CLOSE_DEADLINE_S", 0.05)
    listener = Listener([Opening(close_hangs=True)])
    listener.until(2)

    listener.stop.set()
    listener.capture.close()

    listener.card.release.set()
    assert "hangs" in caplog.text


# From here on: PortAudio, ALSA, real time.


def card_sound(seconds: float, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise that a 16-bit card delivers bit by bit."""
    n_samples = round(seconds * CARD_RATE_HZ)
    return (np.round(noise(n_samples, seed) * 32767) / 32768).astype(np.float32)


class Program:
    """``capture_program.py`` at work."""

    def __init__(
        self,
        cards: FakeCards,
        query: str = "hw:1",
        *,
        until_s: float,
        settings: dict[str, object] | None = None,
        constants: dict[str, float] | None = None,
        root: Path = Path("/"),
    ) -> None:
        self._file = cards.folder / f"heard-{query}.npz"
        options = {
            "query": query,
            "until_s": until_s,
            "settings": {"retry_min_s": 0.3, "warmup_s": 0.2} | (settings or {}),
            "constants": constants or {},
            "file": str(self._file),
            "root": str(root),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), json.dumps(options)],
            env=os.environ | cards.environment | {"PYTHONPATH": ":".join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []

    def until_it_says(self, **facts: object) -> None:
        for said in self._lines():
            if facts.items() <= said.items():
                return
        raise AssertionError(f"{facts} not in {self.said}: {self._stderr()}")

    def finish(self) -> int:
        for _ in self._lines():
            pass
        return self.process.wait(timeout=300)

    def heard(self) -> tuple[Any, Any, Any]:
        """Audio (2, n), and start and length of its blocks in frames."""
        with np.load(self._file) as content:
            return content["audio"], content["starts"], content["lengths"]

    def faults(self) -> list[tuple[str, bool]]:
        return [(said["fault"], said["active"]) for said in self.said if "fault" in said]

    def _lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            yield self.said[-1]

    def _stderr(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def __enter__(self) -> Program:
        require_portaudio()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def stretches(audio: Any, starts: Any, lengths: Any) -> list[Any]:
    """Audio between gaps, without the blocks' borders."""
    ends = starts + lengths
    breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
    return np.split(audio, np.cumsum(lengths)[breaks - 1], axis=1)


def is_part_of(part: Any, whole: Any) -> bool:
    """Whether `part` (2, n) is played somewhere in `whole`, bit by bit."""
    begins = np.flatnonzero((whole[:, : whole.shape[1]] == part[:, :1]).all(axis=0))
    n_frames = part.shape[1]
    return any(np.array_equal(whole[:, at : at + n_frames], part) for at in begins)


def test_a_real_card_is_captured_bit_by_bit_after_its_warm_up(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = card_sound(8)

    with cards.add_fifo(1, sound), Program(cards, until_s=2.0) as program:
        assert program.finish() == 0

    audio, starts, lengths = program.heard()
    (heard,) = stretches(audio, starts, lengths)
    assert is_part_of(heard, sound)
    assert not is_part_of(sound[:, :4800], heard)
    assert starts[0] == 0
    assert [said["state"] for said in program.said if "state" in said] == ["starting", "healthy"]


def test_hw_1_and_hw_10_are_two_cards(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sounds = {"hw:10": card_sound(8, seed=10), "hw:1": card_sound(8, seed=1)}

    with cards.add_fifo(10, sounds["hw:10"]), cards.add_fifo(1, sounds["hw:1"]):
        for query, sound in sounds.items():
            with Program(cards, query, until_s=0.5) as program:
                assert program.finish() == 0
            assert is_part_of(program.heard()[0], sound)


def test_a_usb_card_is_found_by_its_identity(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    root = write_kernel(tmp_path / "root", [KernelCard(1, "Device", vendor="0d8c", product="0014")])
    sound = card_sound(8)

    with (
        cards.add_fifo(1, sound),
        Program(cards, "usb:0d8c:0014", until_s=0.5, root=root) as program,
    ):
        assert program.finish() == 0

    assert is_part_of(program.heard()[0], sound)


def test_a_real_card_that_ends_floods_nothing_and_is_heard_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = card_sound(3)
    feeder = cards.add_fifo(1, sound, repeat=True)
    feeder.quit_at_s = 2.0

    with feeder, Program(cards, until_s=4.0) as program:
        program.until_it_says(fault="capture_runaway", active=True)
        feeder.replug()
        assert program.finish() == 0

    assert program.faults() == [("capture_runaway", True), ("capture_runaway", False)]
    audio, starts, lengths = program.heard()
    parts = stretches(audio, starts, lengths)
    assert len(parts) == 2
    assert all(is_part_of(part, np.tile(sound, 2)) for part in parts)
    lost_s = (starts[-1] + lengths[-1] - audio.shape[1]) / CARD_RATE_HZ
    (over,) = (said for said in program.said if said.get("active") is False)
    assert over["lost_s"] == pytest.approx(lost_s, abs=0.01)
    assert 0.4 < lost_s < 3


def test_a_real_card_that_stalls_goes_on_after_a_gap(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    feeder = cards.add_fifo(1, card_sound(3), repeat=True)
    feeder.stalls.append((1.0, 2.0))
    impatient = {
        "edge_asd.capture.health._SILENT_S": 1.0,
        "edge_asd.capture.microphone._PAUSE_S": 0.5,
    }

    with feeder, Program(cards, until_s=4.0, constants=impatient) as program:
        assert program.finish() == 0

    assert program.faults() == [("capture_stalled", True), ("capture_stalled", False)]
    (_, gap) = (said for said in program.said if "gap" in said)
    (over,) = (said for said in program.said if said.get("active") is False)
    assert over["lost_s"] == pytest.approx(2.0, abs=0.3)
    assert "nothing for a while" in gap["gap"]
    assert program.said[-1]["reopened"] == 0


def test_a_real_card_that_is_missing_at_the_start_is_heard_once_it_is_there(
    tmp_path: Path,
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = card_sound(8)

    with cards.add_fifo(1, sound):
        cards.remove(1)
        with Program(cards, until_s=2.5) as program:
            program.until_it_says(fault="capture_missing", active=True)
            cards.put_back(1)
            assert program.finish() == 0

    assert program.faults() == [("capture_missing", True), ("capture_missing", False)]
    audio, starts, _ = program.heard()
    assert is_part_of(audio, sound)
    assert starts[0] / CARD_RATE_HZ > 0.1  # the FIFO held a little when it was opened


def test_the_clock_of_a_real_card_is_measured(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)

    with (
        cards.add_fifo(1, card_sound(8), ppm=50_000, repeat=True),
        Program(cards, until_s=4.8) as program,
    ):
        assert program.finish() == 0

    assert program.said[-1]["drift_ppm"] == pytest.approx(50_000, abs=10_000)


def test_a_real_driver_that_hangs_ends_the_process_with_exit_code_75(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)

    with (
        cards.add_fifo(1, card_sound(1.5)),  # from its end on, every call hangs in the driver
        Program(
            cards,
            until_s=60,
            settings={"stall_timeout_s": 0.5},
            constants={"edge_asd.capture.live_source._CLOSE_DEADLINE_S": 0.5},
        ) as program,
    ):
        assert program.finish() == 75

    assert program.said[-1]["state"] == "hung"
    assert "hangs" in program.said[-1]["error"]
    stalled, hung = ("capture_stalled", True), ("capture_hung", True)
    assert program.faults() == [stalled, stalled, hung]


def test_a_driver_that_hangs_while_it_is_opened_ends_the_process_too(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    feeder = cards.add_fifo(1, card_sound(2))
    feeder.quit_at_s = 1.0  # and nobody is at the other end of the FIFO when it is opened again

    with (
        feeder,
        Program(
            cards, until_s=60, constants={"edge_asd.capture.live_source._OPEN_DEADLINE_S": 0.5}
        ) as program,
    ):
        assert program.finish() == 75

    assert program.said[-1]["state"] == "hung"
