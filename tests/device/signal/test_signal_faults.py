"""A fault of the signal is one row: the monitor and the doctor both look for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from device.faulty_sound import FAULTS as SOUNDS
from device.faulty_sound import (
    RATE_HZ,
    Audio,
    Ears,
    Spoil,
    far_hears_its_converter,
    mono,
    room,
    silence,
)
from device.installations import states
from places import ROOT

from edge_asd.doctor import recording
from edge_asd.events.fault import FAULTS, Fault
from edge_asd.signal.chunk import Chunk, chunks_of, measure_chunk
from edge_asd.signal.faults import CHUNK_FAULTS, ENROLLED_FAULTS, SignalFault, faults_of

FAR_LOUDER = SignalFault[Chunk](
    Fault("signal_far_louder", "impaired", "the far channel is the louder one"),
    lambda chunk: bool(chunk.level_dbfs[1] > chunk.level_dbfs[0] + 3) if chunk.alive else None,
    raise_s=2.0,
    clear_s=4.0,
    found="far {far_dbfs:.0f} dBFS, near {near_dbfs:.0f} dBFS",
    advice="are the microphones exchanged?",
)
WITH_IT = (*CHUNK_FAULTS, FAR_LOUDER)


def far_louder(sound: Audio) -> Audio:
    return sound * np.array([[0.5], [1.0]], np.float32)


def test_a_new_row_is_heard_by_the_monitor() -> None:
    ears = Ears(faults=WITH_IT)

    ears.feed(room(3))
    ears.feed(far_louder(room(5, seed=1)))
    ears.feed(room(6, seed=2))

    assert ears.story == [("signal_far_louder", True), ("signal_far_louder", False)]
    assert ears.times_s == pytest.approx([5, 12], abs=0.11)
    assert ears.changes[0].detail == ("far -34 dBFS, near -40 dBFS: are the microphones exchanged?")
    assert ears.changes[0].figures["far_dbfs"] == pytest.approx(-34, abs=0.5)


def test_a_new_row_is_found_by_the_doctor() -> None:
    verdicts = recording.verdicts(
        far_louder(room(3)), RATE_HZ, monitor_rate_hz=RATE_HZ, faults=WITH_IT
    )

    assert states(verdicts)["signal_far_louder"] == "problem"


def test_every_fault_of_the_signal_has_one_row() -> None:
    of_chunks = [row.fault.name for row in CHUNK_FAULTS]
    of_minutes = [row.fault.name for row in ENROLLED_FAULTS]

    assert of_chunks + of_minutes == [name for name in FAULTS if name.startswith("signal_")]


def test_no_other_file_knows_the_faults_of_the_signal() -> None:
    names = [f'"{name}"' for name in FAULTS if name.startswith("signal_")]
    package = ROOT / "edge_asd"
    texts = {path.relative_to(package): path.read_text("utf-8") for path in package.rglob("*.py")}
    files = {str(path) for path, text in texts.items() if any(name in text for name in names)}

    assert files == {"events/fault.py", "signal/faults.py"}


@pytest.mark.parametrize(
    ("spoil", "known"),
    [
        (silence, {"signal_scale", "signal_silent", "signal_stuck"}),
        (
            far_hears_its_converter,
            {row.fault.name for row in CHUNK_FAULTS} - {"signal_identical"},
        ),
        (mono, {row.fault.name for row in CHUNK_FAULTS}),
    ],
)
def test_what_hides_another_fault_says_nothing_about_it(
    spoil: Callable[[Audio], Audio], known: set[str]
) -> None:
    chunk = measure_chunk(spoil(room(1)))

    assert {row.fault.name for row in CHUNK_FAULTS if row.holds(chunk) is not None} == known


def found_in(audio: Audio) -> list[str]:
    return [fault.fault.name for fault, _ in faults_of(chunks_of(audio, RATE_HZ))]


@pytest.mark.parametrize("case", SOUNDS, ids=lambda case: case[0].__name__)
def test_one_second_is_enough_for_a_verdict_as_if_it_went_on(
    case: tuple[Spoil, str, float, float],
) -> None:
    spoil, name, *_ = case

    assert found_in(spoil(room(1))) == [name]


@pytest.mark.parametrize(("seconds", "names"), [(10, ["signal_silent"]), (12, [])])
def test_a_rare_drop_out_is_none_of_the_faults(seconds: int, names: list[str]) -> None:
    audio = room(seconds)
    audio[:, : RATE_HZ // 10] = 0

    assert found_in(audio) == names  # the limit is one second in eleven


def test_nothing_is_found_in_nothing() -> None:
    assert found_in(room(0.9)) == []
