"""No real machine looks like a fault of the microphones, and faults of real sound are found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from device.faulty_sound import (
    FAULTS,
    RATE_HZ,
    Audio,
    Ears,
    constant,
    mono,
    mono_with_a_gain,
    near_unplugged,
    offset,
    repeated_block,
    silence,
)
from device.installations import states
from places import SHARED

from edge_asd.audio.decode import read_audio
from edge_asd.doctor import recording
from edge_asd.signal.reference import SignalReference

REAL_RECORDINGS = SHARED / "data"
MACHINES = ("dev/fan", "dev/uavA", "dev/uavB", "dev/uavC", "tiny/fan", "tiny/uavA")


def clips(machine: str, split: str, *, every: int) -> list[Audio]:
    paths = sorted((REAL_RECORDINGS / machine / split).glob("*.flac"))[::every]
    return [read_audio(path)[0] for path in paths]


real_recordings = pytest.mark.skipif(not REAL_RECORDINGS.is_dir(), reason="needs the shared folder")


@pytest.mark.real_data
@real_recordings
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_no_real_recording_looks_faulty(machine: str, every: int) -> None:
    train = clips(machine, "train", every=every)
    test = clips(machine, "test", every=every)
    ears = Ears(SignalReference.measure(train, RATE_HZ))

    for clip in (*train, *test):
        ears.feed(clip)

    assert ears.story == []
    assert ears.quality.usable(0.0, ears.now_s)


@pytest.mark.real_data
@real_recordings
@pytest.mark.parametrize("machine", MACHINES)
def test_the_doctor_finds_no_fault_in_real_recordings(machine: str) -> None:
    for clip in (*clips(machine, "train", every=20), *clips(machine, "test", every=20)):
        verdicts = states(recording.verdicts(clip, RATE_HZ, monitor_rate_hz=RATE_HZ))

        assert verdicts["signal"] == "ok"
        assert "problem" not in verdicts.values()


@pytest.mark.real_data
@real_recordings
@pytest.mark.parametrize("machine", [name for name in MACHINES if name.startswith("dev")])
@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_exchanged_microphones_are_noticed_on_real_machines(machine: str, every: int) -> None:
    ears = Ears(SignalReference.measure(clips(machine, "train", every=every), RATE_HZ))

    for clip in clips(machine, "test", every=every):
        ears.feed(clip[::-1])

    assert ears.story[0] == ("signal_swapped", True)
    assert {name for name, _ in ears.story} == {"signal_swapped"}


@pytest.mark.real_data
@real_recordings
@pytest.mark.parametrize("machine", MACHINES[:4])
@pytest.mark.parametrize(
    "fault", [silence, constant, repeated_block, near_unplugged, offset, mono, mono_with_a_gain]
)
def test_faults_are_found_in_real_sound(machine: str, fault: Callable[[Audio], Audio]) -> None:
    (name,) = {case[1] for case in FAULTS if case[0] is fault}
    (clip,) = clips(machine, "test", every=1000)
    ears = Ears()

    for _ in range(2):
        ears.feed(fault(clip))

    assert ears.story == [(name, True)]
