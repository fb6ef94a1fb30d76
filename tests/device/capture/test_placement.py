"""Where the audio of several openings lies in one stream."""

from __future__ import annotations

from device.stream import joined, noise

from edge_asd.audio.block import Block, Gap
from edge_asd.capture.placement import Placement
from edge_asd.capture.ring import Arrival

RATE_HZ = 16000


def arrival(start_frame: int, at_s: float, n_frames: int = 4800, gap: Gap | None = None) -> Arrival:
    return Arrival(Block(start_frame, noise(n_frames)), at_s, gap)


def test_the_first_audio_is_the_beginning_wherever_it_lies_on_the_card() -> None:
    placement = Placement(RATE_HZ, 0.0)

    (block,) = placement.place(arrival(9600, 0.3, 1600), RATE_HZ)

    assert isinstance(block, Block)
    assert block.start_frame == 0


def test_an_interruption_hands_on_what_the_filters_held() -> None:
    placement = Placement(RATE_HZ, 0.0)

    items = placement.place(arrival(0, 0.1), 48000)
    tail = placement.interrupt("unplugged")

    assert joined(tail).shape[1] > 0
    assert joined([*items, *tail]).shape[1] == placement.end_frame == 1600


def test_what_is_missing_between_two_openings_is_told_by_the_clock() -> None:
    placement = Placement(RATE_HZ, 0.0)
    placement.place(arrival(0, 0.1), 48000)
    placement.interrupt("unplugged")

    gap, block = placement.place(arrival(480, 3.2), 48000)

    assert gap == Gap(1600 + 3 * RATE_HZ, 3 * RATE_HZ, "unplugged")
    assert isinstance(block, Block)
    assert block.start_frame == gap.end_frame


def test_what_is_missing_within_an_opening_is_told_by_its_frames() -> None:
    placement = Placement(RATE_HZ, 0.0)
    placement.place(arrival(480, 0.1), 48000)

    later = arrival(480 + 4800 + 48000, 9.0, gap=Gap(480 + 4800 + 48000, 48000, "an overflow"))
    items = placement.place(later, 48000)

    gap = next(item for item in items if isinstance(item, Gap))
    assert gap == Gap(1600 + RATE_HZ, RATE_HZ, "an overflow")
    assert joined(items).shape[1] > 0


def test_a_gap_is_explained_by_what_was_wrong_first() -> None:
    placement = Placement(RATE_HZ, 0.0)
    reasons = []

    for i, lost_for in enumerate(("unplugged", "silent"), start=1):
        placement.place(arrival(0, 10.0 * i), RATE_HZ)
        placement.interrupt(lost_for)
        placement.not_opened("no sound device")
        gap = placement.place(arrival(0, 10.0 * i + 5), RATE_HZ)[0]
        assert isinstance(gap, Gap)
        reasons.append(gap.reason)
        placement.interrupt("another time")

    assert reasons == ["unplugged", "silent"]
