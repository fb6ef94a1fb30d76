"""Verdicts about the sound card and a short recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.installations import installation_of, states
from device.mini_bundle import machine_sound
from numpy.typing import NDArray

from edge_asd.doctor import (
    recording,
    sound,
)
from edge_asd.doctor.verdict import Verdict

RATE_HZ = 48000


def tone(frequency_hz: float, amplitude: float, seconds: float = 2.0) -> NDArray[np.float32]:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave: NDArray[np.float32] = (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype("f4")
    return wave


def verdicts_of(audio: NDArray[np.float32]) -> dict[str, Verdict]:
    found = recording.verdicts(audio, RATE_HZ, monitor_rate_hz=16000)
    return {verdict.check: verdict for verdict in found}


def problems_of(audio: NDArray[np.float32]) -> list[str]:
    return [name for name, verdict in verdicts_of(audio).items() if verdict.state == "problem"]


def test_a_machine_in_front_of_two_microphones_is_no_problem() -> None:
    verdicts = verdicts_of(machine_sound(2.0, seed=1, rate_hz=RATE_HZ))

    assert states(verdicts.values()) == {
        "signal": "ok",
        "enrolled": "not checked",
        "level": "ok",
        "far microphone": "warning",  # both hear its hum, at once
        "hum": "ok",
    }
    assert verdicts["signal"].found == (
        "no fault: near -16 dBFS, far -22 dBFS; near 0.0%, far 0.0% at full scale; near +0.0%, far "
        "+0.0% of full scale; near and far differ"
    )


def test_what_takes_minutes_is_left_to_the_monitor() -> None:
    verdict = verdicts_of(machine_sound(2.0, seed=1, rate_hz=RATE_HZ))["enrolled"]

    assert verdict.found.startswith("signal_swapped and signal_level need minutes of sound")


def test_digital_silence_is_a_problem() -> None:
    assert states(verdicts_of(np.zeros((2, RATE_HZ), np.float32)).values()) == {
        "signal_silent": "problem"
    }


@pytest.mark.parametrize("n_frames", [0, RATE_HZ // 2])
def test_less_than_a_second_is_a_problem(n_frames: int) -> None:
    assert states(verdicts_of(np.zeros((2, n_frames), np.float32)).values()) == {
        "signal": "problem"
    }


@pytest.mark.parametrize(("gain", "state"), [(1e-4, "warning"), (1.0, "ok"), (10.0, "warning")])
def test_the_level_is_neither_too_low_nor_too_high(gain: float, state: str) -> None:
    audio = np.float32(gain) * machine_sound(1.0, seed=1, rate_hz=RATE_HZ)

    assert recording.level(audio).state == state


@pytest.mark.parametrize(
    ("first", "state", "found"),
    [
        ("far", "ok", "cancelling takes at least 7"),
        ("near", "warning", "cancelling takes at least 0"),
        ("neither", "not checked", "far hears nothing of what near hears"),
    ],
)
def test_the_far_microphone_stands_well_where_background_reaches_it_first(
    first: str, state: str, found: str
) -> None:
    own = np.random.default_rng(1).normal(0, 0.01, (2, 3 * 16000)).astype(np.float32)
    common = np.random.default_rng(2).normal(0, 0.03, 4 * 16000).astype(np.float32)
    for channel, name in enumerate(("near", "far")):
        start = 100 if name == first else 0
        own[channel] += common[start : start + 3 * 16000] * (first != "neither")

    verdict = recording.far_microphone(own)

    assert (verdict.state, verdict.found[: len(found)]) == (state, found)
    assert bool(verdict.advice) == (state != "ok")


def test_one_microphone_posing_as_two_is_a_problem() -> None:
    near = machine_sound(1.0, seed=1, rate_hz=RATE_HZ)[0]

    verdict = verdicts_of(np.stack([near, near]))["signal_identical"]

    assert verdict.state == "problem"
    assert verdict.found.startswith("both channels are the same signal: far is near times +1.00")
    assert verdict.advice.startswith("use an input with two channels")


@pytest.mark.parametrize(("quiet", "name"), [(0, "near"), (1, "far")])
def test_a_dead_channel_is_named(quiet: int, name: str) -> None:
    audio = machine_sound(1.0, seed=1, rate_hz=RATE_HZ)
    audio[quiet] *= np.float32(1e-4)

    verdict = verdicts_of(audio)[f"signal_{name}_dead"]

    assert verdict.state == "problem"
    assert f"check the {name} microphone" in verdict.advice


def test_clipping_is_counted() -> None:
    audio = np.clip(np.stack([tone(440, 1.5), tone(441, 0.5)]), -1, 1)

    verdict = verdicts_of(audio)["signal_clipping"]

    assert verdict.state == "problem"
    assert "0.0% of the far samples" in verdict.found


def test_an_offset_is_found() -> None:
    audio = machine_sound(2.0, seed=1, rate_hz=RATE_HZ)
    audio[0] += np.float32(0.05)

    assert "near +5.0%, far" in verdicts_of(audio)["signal_dc"].found
    assert problems_of(audio) == ["signal_dc"]


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_is_told_from_the_machine(mains_hz: int) -> None:
    audio = machine_sound(2.0, seed=1, rate_hz=RATE_HZ)
    audio[1] += tone(mains_hz, 0.2) + tone(3 * mains_hz, 0.1)

    verdict = recording.hum(audio, RATE_HZ)

    assert verdict.state == "warning"
    assert f"at {mains_hz} Hz" in verdict.found


def test_a_motor_at_twice_the_mains_frequency_is_no_hum() -> None:
    audio = np.stack([tone(100, 0.3), tone(100, 0.2) + tone(410, 0.1)])

    assert recording.hum(audio, RATE_HZ).state == "ok"


CARD: dict[str, Any] = {
    "name": "USB Audio: - (hw:2,0)",
    "reason": "it is on card 2",
    "lasting_name": "usb:0d8c:0014",
    "rates_hz": [44100, 48000],
    "trouble": "",
}


def test_a_card_is_named_with_reason_rates_and_lasting_name() -> None:
    verdict = sound.card_verdict("hw:2", CARD)

    assert verdict.state == "ok"
    assert verdict.found == (
        "hw:2 is USB Audio: - (hw:2,0), because it is on card 2; 44.1, 48 kHz; "
        "its lasting name is usb:0d8c:0014"
    )


def test_a_missing_card_is_a_problem() -> None:
    assert sound.card_verdict("hw:7", {"error": "no sound device 'hw:7'"}).state == "problem"


def test_a_busy_card_names_the_way_to_find_out() -> None:
    busy = CARD | {"rates_hz": [], "trouble": "Device unavailable"}

    verdict = sound.card_verdict("hw:2", busy)

    assert (verdict.state, "fuser" in verdict.advice) == ("problem", True)


def test_only_members_of_audio_may_open_cards() -> None:
    assert sound.access("pi", {"pi", "audio"}, is_root=False).state == "ok"
    assert sound.access("root", set(), is_root=True).state == "ok"
    assert sound.access("pi", {"pi"}, is_root=False).advice.startswith("sudo usermod -aG audio pi")


@pytest.mark.parametrize(
    ("trouble", "machines", "in_use"),
    [
        ("Device unavailable", ["pump"], True),
        ("Device unavailable", [], False),
        ("Invalid sample rate", ["pump"], False),
    ],
)
def test_a_card_is_in_use_when_it_is_busy_and_a_monitor_runs(
    trouble: str,
    machines: list[str],
    in_use: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sound, "listeners", lambda installation: machines)

    verdict = sound.in_use(trouble, installation_of(tmp_path))

    assert (verdict is not None and verdict.state == "not checked") == in_use
