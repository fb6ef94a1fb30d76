"""``listen --device hw:1``: the real command, real PortAudio, a card made of files."""

from __future__ import annotations

import shutil
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
    parse,
    read_until,
    run,
    start,
    text_of,
)
from device.mini_bundle import machine_day, machine_sound


def test_a_fault_at_the_microphone_hw_1_is_raised_and_cleared(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = machine_day({"normal": 3.5, "fault": 3, "normal again": 4}, rate_hz=CARD_RATE_HZ)

    with cards.add_fifo(1, sound):
        exit_code, events, stderr = run(
            mini_bundle, ["--device", "hw:1", "--duration-s", "9"], env=cards.environment
        )

    assert exit_code == 0
    assert "listening at 48000 Hz to 'hw:1,0', because" in stderr
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
    faulty = cards.add_fifo(10, machine_sound(9, seed=1, faulty=True, rate_hz=CARD_RATE_HZ))
    normal = cards.add_fifo(1, machine_sound(9, seed=1, rate_hz=CARD_RATE_HZ))

    with faulty, normal:
        for device, is_faulty in (("hw:1", False), ("hw:10", True)):
            _, events, _ = run(
                mini_bundle, ["--device", device, "--duration-s", "1.5"], env=cards.environment
            )

            assert events[0]["source"] == f"{device},0"
            (first, *_) = of(events, "score")
            assert (first["score"] > first["threshold"]) == is_faulty


@pytest.mark.parametrize("query", ["hw:7", "nonsense"])
def test_an_unknown_device_lists_those_there_are(
    tmp_path: Path, mini_bundle: Path, query: str
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(1, np.zeros((2, 4800), np.float32))

    exit_code, events, stderr = run(
        mini_bundle, ["--device", query, "--wait", "0"], env=cards.environment
    )

    assert (exit_code, events) == (1, [])
    assert query in stderr
    assert "hw:1,0" in stderr
    assert len(stderr.splitlines()) == 1


def test_a_missing_card_is_waited_for_and_is_a_fault(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(2, np.zeros((2, 4800), np.float32))

    with start(mini_bundle, ["--device", "hw:1"], cards.environment) as process:
        (fault,) = of(read_until(process.stdout, "fault_raised"), "fault_raised")

        process.send_signal(signal.SIGINT)

        assert of(read_until(process.stdout, "stopped"), "stopped")
        assert process.wait(TIMEOUT_S) == 0
    assert (fault["fault"], fault["severity"]) == ("capture_missing", "deaf")


def test_a_bundle_that_is_damaged_in_the_field_is_told_once_and_its_repair_too(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    bundle = tmp_path / "bundle"
    shutil.copytree(mini_bundle, bundle)
    whole = (bundle / "encoder.onnx").read_bytes()
    log = tmp_path / "events.jsonl"
    environment = cards.environment | {"XDG_STATE_HOME": str(tmp_path / "state")}
    args = ["--device", "hw:1", "--machine", "pump", "--output", str(log), "--duration-s", "2"]
    feeder = cards.add_fifo(1, machine_sound(4, seed=1, rate_hz=CARD_RATE_HZ))

    (bundle / "encoder.onnx").write_bytes(whole[:-1])
    failed = [run(bundle, args, env=environment)[0] for _ in range(2)]
    (told,) = parse(log.read_text())
    (bundle / "encoder.onnx").write_bytes(whole)
    with feeder:
        run(bundle, args, env=environment)

    assert failed == [1, 1]
    assert (told["event"], told["fault"]) == ("fault_raised", "start")
    assert "encoder.onnx" in told["detail"]
    (over,) = [e for e in of(parse(log.read_text()), "fault_cleared") if e["fault"] == "start"]
    assert over["figures"] == {"failures": 2}


def test_a_stalled_card_is_waited_for_and_ctrl_c_still_ends_it(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)

    with (
        cards.add_fifo(1, machine_sound(2.5, seed=1, rate_hz=CARD_RATE_HZ)) as feeder,
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
    feeder = cards.add_fifo(1, machine_sound(7, seed=1, rate_hz=CARD_RATE_HZ))
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
