"""How long a live source waits for a card, and what ends it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from device.capture_listener import MISSING, Listener
from device.fake_kernel import KernelCard, write_kernel
from device.waiting import wait_until

from benchmarks.simulated_card import Opening
from edge_asd.audio.block import Block
from edge_asd.capture import live_source
from edge_asd.errors import AudioError, DriverHungError, UsageError


def test_while_a_card_is_missing_empty_blocks_come_often() -> None:
    listener = Listener([MISSING] * 9)
    times = []

    for _ in range(200):
        block = listener.source.read()
        assert isinstance(block, Block)
        assert (block.start_frame, block.n_frames) == (0, 0)
        times.append(listener.time())

    assert max(np.diff(times)) <= 0.2 + 1e-9
    assert (listener.state, listener.source.name) == ("lost", "hw:1")


def test_a_busy_card_is_waited_for() -> None:
    listener = Listener([AudioError("sound device 'hw:1,0' is busy"), Opening()])

    listener.until(10)

    assert listener.changes[0].detail == "sound device 'hw:1,0' is busy"
    assert listener.story == [("capture_lost", True), ("capture_lost", False)]


@pytest.mark.parametrize("error", [MISSING, AudioError("sound device 'hw:1,0' is busy")])
def test_without_waiting_a_missing_card_ends_it(error: AudioError) -> None:
    listener = Listener([error], wait_s=0.0)

    with pytest.raises(type(error), match=str(error)):
        listener.source.open()


def test_without_waiting_a_lost_card_ends_it() -> None:
    listener = Listener([Opening(dies_after_s=10)], wait_s=0.0)

    with pytest.raises(AudioError, match="the sound card stopped"):
        listener.until(20)


def test_patience_ends_after_the_time_in_the_profile() -> None:
    listener = Listener([Opening(dies_after_s=10), *[MISSING] * 99], wait_s=30.0)

    with pytest.raises(AudioError, match=r"is away, and the wait of 30 s .*no sound device"):
        listener.until(100)

    assert listener.time() == pytest.approx(40, abs=0.5)


def test_a_name_that_can_never_be_a_device_ends_it_at_once() -> None:
    error = UsageError("'hw:' names no sound card")
    listener = Listener([error])

    with pytest.raises(UsageError, match="names no sound card"):
        listener.source.open()


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
    plugged_in_s = listener.time()
    listener.until(200)

    assert listener.card.attempts[-1][2] - plugged_in_s == pytest.approx(1.5, abs=1)
    assert listener.state == "healthy"


def test_other_cards_coming_and_going_do_not_hurry_a_failing_one(tmp_path: Path) -> None:
    root = write_kernel(tmp_path, [KernelCard(0, "PCH")], sys=False)
    listener = Listener([AudioError("input/output error")] * 99, root=root)
    listener.until(1 + 2 + 4 + 8 + 16 + 5)

    write_kernel(tmp_path, [KernelCard(0, "PCH"), KernelCard(1, "Device")], sys=False)
    n_asked = len(listener.card.attempts)
    listener.until(1 + 2 + 4 + 8 + 16 + 25)

    assert len(listener.card.attempts) == n_asked


@pytest.mark.parametrize("plan", [[Opening()], [MISSING] * 3], ids=["heard", "missing"])
def test_a_request_to_stop_ends_the_stream(plan: list[Opening | Exception]) -> None:
    listener = Listener(plan)
    listener.until(2)

    listener.stop.set()

    assert listener.source.read() is None
    listener.source.close()
    listener.source.close()
    assert all(each.closed for each in listener.card.microphones)


def test_a_card_that_hangs_when_it_is_closed_ends_with_exit_code_75(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_source._Closing, "deadline_s", 0.05)
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
    monkeypatch.setattr(live_source._Opening, "deadline_s", 0.05)
    listener = Listener([Opening(open_hangs=True)])

    with pytest.raises(DriverHungError):
        listener.until(1)

    listener.card.release.set()
    assert listener.state == "hung"
    assert listener.source.read() is None


def test_a_card_that_is_opened_too_late_is_closed_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_source._Closing, "deadline_s", 0.05)
    listener = Listener([Opening(open_hangs=True)])
    listener.source.read()
    listener.source.read()

    listener.source.close()
    assert "hangs" in caplog.text
    listener.card.release.set()

    wait_until(lambda: [each for each in listener.card.microphones if each.closed])


def test_closing_a_hung_card_at_the_end_gives_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_source._Closing, "deadline_s", 0.05)
    listener = Listener([Opening(close_hangs=True)])
    listener.until(2)

    listener.stop.set()
    listener.source.close()

    listener.card.release.set()
    assert "hangs" in caplog.text
