from __future__ import annotations

import numpy as np
import pytest
from device.faulty_sound import (
    FAULTS,
    Spoil,
    far_hears_its_converter,
    mono,
    near_unplugged,
    room,
    silence,
    too_loud,
)
from numpy.typing import NDArray

from edge_asd.audio.block import Block, Gap
from edge_asd.recordings.clip_cutter import ClipCutter, why_unusable

RATE_HZ = 16_000


def ramp(n_samples: int, start: int = 0) -> NDArray[np.float32]:
    """Samples that say where they are."""
    return np.tile(np.arange(start, start + n_samples, dtype=np.float32), (2, 1))


def test_clips_are_consecutive_and_share_no_sample() -> None:
    cutter = ClipCutter(100, RATE_HZ)

    clips = [
        clip for start in range(0, 350, 35) for clip in cutter.push(Block(start, ramp(35, start)))
    ]

    assert np.array_equal(np.concatenate([clip.audio for clip in clips], axis=1), ramp(300))


def test_a_minute_is_a_take() -> None:
    cutter = ClipCutter(20, 10)  # clips of 2 s

    clips = cutter.push(Block(0, ramp(10 * 150)))

    assert [clip.take for clip in clips] == [0] * 30 + [1] * 30 + [2] * 15


def test_no_clip_and_no_take_goes_across_a_gap() -> None:
    cutter = ClipCutter(20, 10)

    before = cutter.push(Block(0, ramp(50)))
    nothing = cutter.push(Gap(70, 20, "lost"))
    after = cutter.push(Block(70, ramp(40, 70)))

    assert nothing == []
    assert [(clip.audio[0, 0], clip.take) for clip in (*before, *after)] == [
        (0, 0), (20, 0), (70, 1), (90, 1),
    ]  # fmt: skip


def test_another_recording_is_another_take() -> None:
    cutter = ClipCutter(20, 10)

    (first,) = cutter.push(Block(0, ramp(30)))
    cutter.next_recording()
    (second,) = cutter.push(Block(0, ramp(20)))

    assert (first.take, second.take) == (0, 1)


def test_a_sound_clip_has_nothing_wrong() -> None:
    assert why_unusable(room(10), RATE_HZ, accept_faults=False) is None


@pytest.mark.parametrize("spoil", [spoil for spoil, *_ in FAULTS], ids=lambda s: s.__name__)
def test_what_the_monitor_would_report_is_left_out(spoil: Spoil) -> None:
    why = why_unusable(spoil(room(10)), RATE_HZ, accept_faults=False)

    assert why is not None
    assert all(why)


@pytest.mark.parametrize(
    ("spoil", "accepted"),
    [
        (mono, True),
        (too_loud, True),
        (silence, False),
        (near_unplugged, False),
        (far_hears_its_converter, False),
    ],
)
def test_bad_quality_may_be_accepted_but_never_silence(spoil: Spoil, accepted: bool) -> None:
    assert (why_unusable(spoil(room(10)), RATE_HZ, accept_faults=True) is None) == accepted


def test_a_short_drop_out_spoils_a_clip() -> None:
    sound = room(10).copy()
    sound[:, 80_000:84_000] = 0  # a quarter of a second

    assert why_unusable(sound, RATE_HZ, accept_faults=False) is not None
