"""``listen --device hw:1``: the real command, real PortAudio, a card made of files."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.listening import (
    TIMEOUT_S,
    WINDOW_S,
    of,
    read_until,
    run,
    start,
    text_of,
)
from device.mini_bundle import RATE_HZ, machine_day, machine_sound


def test_a_fault_at_the_microphone_hw_1_is_raised_and_cleared(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = machine_day({"normal": 3, "fault": 3, "normal again": 3.5}, rate_hz=CARD_RATE_HZ)

    with cards.add_fifo(1, sound):
        exit_code, events, stderr = run(
            mini_bundle, ["--device", "hw:1", "--duration-s", "9"], env=cards.environment
        )

    assert (exit_code, stderr) == (0, "")
    assert events[0]["event"] == "started"
    assert (events[0]["source"], events[0]["source_rate_hz"]) == ("hw:1,0", CARD_RATE_HZ)
    (raised,) = of(events, "alarm_raised")
    (cleared,) = of(events, "alarm_cleared")
    assert 3 < raised["stream_time_s"] <= 3 + 2 * WINDOW_S
    assert 6 < cleared["stream_time_s"] <= 6 + 2 * WINDOW_S
    (stopped,) = of(events, "stopped")
    assert events[-1] == stopped
    assert (stopped["windows"], stopped["alarms"], stopped["alarm"]) == (17, 1, False)
    assert (stopped["seconds"], stopped["gaps"], stopped["dropped_frames"]) == (9.0, 0, 0)


def test_hw_1_is_not_taken_for_hw_10(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(10, machine_sound(2, seed=1, faulty=True, rate_hz=CARD_RATE_HZ))
    cards.add_file(1, machine_sound(2, seed=1, rate_hz=CARD_RATE_HZ))

    for device, is_faulty in (("hw:1", False), ("hw:10", True)):
        _, events, _ = run(
            mini_bundle, ["--device", device, "--duration-s", "2"], env=cards.environment
        )

        assert events[0]["source"] == f"{device},0"
        (first, *_) = of(events, "score")
        assert (first["score"] > first["threshold"]) == is_faulty


def test_a_card_faster_than_the_program_counts_what_was_lost(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(1, machine_sound(2, seed=1, rate_hz=CARD_RATE_HZ))

    exit_code, events, _ = run(
        mini_bundle, ["--device", "hw:1", "--duration-s", "300"], env=cards.environment
    )

    gaps = of(events, "audio_gap")
    stopped = events[-1]
    assert exit_code == 0
    assert gaps
    assert stopped["seconds"] == 300
    assert stopped["dropped_frames"] == pytest.approx(
        sum(gap["lost_s"] for gap in gaps) * RATE_HZ, abs=len(gaps)
    )
    for gap in gaps:
        spanning = [
            score
            for score in of(events, "score")
            if score["window_start_s"] < gap["stream_time_s"] < score["stream_time_s"]
        ]
        assert spanning == []


@pytest.mark.parametrize("query", ["hw:7", "nonsense"])
def test_an_unknown_device_lists_those_there_are(
    tmp_path: Path, mini_bundle: Path, query: str
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(1, np.zeros((2, 4800), np.float32))

    exit_code, events, stderr = run(mini_bundle, ["--device", query], env=cards.environment)

    assert (exit_code, events) == (1, [])
    assert query in stderr
    assert "hw:1,0" in stderr
    assert len(stderr.splitlines()) == 1


def test_a_stalled_card_is_waited_for_and_ctrl_c_still_ends_it(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)

    with (
        cards.add_fifo(1, machine_sound(1.5, seed=1, rate_hz=CARD_RATE_HZ)) as feeder,
        start(mini_bundle, ["--device", "hw:1"], cards.environment) as process,
    ):
        read_until(process.stdout, "score")
        feeder.exhausted.wait(TIMEOUT_S)  # from here on PortAudio hangs in the driver

        process.send_signal(signal.SIGINT)
        stopped = read_until(process.stdout, "stopped")[-1]

        assert process.wait(TIMEOUT_S) == 0
        assert "hangs" in text_of(process.stderr)
    assert stopped["reason"] == "interrupted"


@pytest.mark.slow
def test_a_card_that_stalls_and_comes_back_is_a_gap(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    feeder = cards.add_fifo(1, machine_sound(3.5, seed=1, rate_hz=CARD_RATE_HZ))
    feeder.stalls.append((1.5, 4.0))

    with feeder:
        exit_code, events, _ = run(
            mini_bundle, ["--device", "hw:1", "--duration-s", "7"], env=cards.environment
        )

    (gap,) = of(events, "audio_gap")
    assert exit_code == 0
    assert gap["lost_s"] == pytest.approx(4.0, abs=0.5)
    assert of(events, "score")[-1]["window_start_s"] >= gap["stream_time_s"]
    assert of(events, "alarm_raised") == []


def test_a_dead_card_ends_the_program_with_an_error(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    profile = tmp_path / "site.toml"
    profile.write_text("[capture]\nstall_timeout_s = 1.0\n", encoding="utf-8")

    with cards.add_fifo(1, machine_sound(1.5, seed=1, rate_hz=CARD_RATE_HZ)):
        exit_code, events, stderr = run(
            mini_bundle, ["--device", "hw:1", "--profile", str(profile)], env=cards.environment
        )

    assert exit_code == 1
    assert "delivered nothing for 1 s" in stderr
    assert events[-1]["reason"].startswith("failed: sound device 'hw:1,0' delivered nothing")
