"""A live source on real PortAudio and ALSA, at real pace, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.fake_card import RATE_HZ, FakeCards, require_portaudio
from device.fake_kernel import KernelCard, write_kernel
from device.stream import noise
from places import ROOT

_PROGRAM = ROOT / "tests/device/capture_program.py"


def card_sound(seconds: float, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise that a 16-bit card delivers bit by bit."""
    n_samples = round(seconds * RATE_HZ)
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
    lost_s = (starts[-1] + lengths[-1] - audio.shape[1]) / RATE_HZ
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
        "edge_asd.capture.microphone._STALL_S": 0.5,
    }

    with feeder, Program(cards, until_s=4.0, constants=impatient) as program:
        assert program.finish() == 0

    assert program.faults() == [("capture_stalled", True), ("capture_stalled", False)]
    (gap,) = (said for said in program.said if "gap" in said)
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
    assert starts[0] / RATE_HZ > 0.1  # the FIFO held a little when it was opened


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
            constants={"edge_asd.capture.live_source._Closing.deadline_s": 0.5},
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
            cards, until_s=60, constants={"edge_asd.capture.live_source._Opening.deadline_s": 0.5}
        ) as program,
    ):
        assert program.finish() == 75

    assert program.said[-1]["state"] == "hung"
