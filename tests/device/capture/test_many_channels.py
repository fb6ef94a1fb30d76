"""Cards of many microphones: which are near and far, and one card for two monitors."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.listening import TIMEOUT_S, of, read_until, start
from device.mini_bundle import machine_sound

from edge_asd.capture.sound_device import InputDevice, channel_counts
from edge_asd.errors import UsageError
from edge_asd.profile import builtin_folder

SECONDS = 4
OPEN = """
import ctypes
alsa, pcm = ctypes.CDLL("libasound.so.2"), ctypes.c_void_p()
print(alsa.snd_pcm_open(ctypes.byref(pcm), b"array", 1, 0))
"""


def eight_microphones() -> np.ndarray:
    """A normal machine at the first, a faulty one at the second, noise, and far at the eighth."""
    normal = machine_sound(SECONDS, seed=1, rate_hz=CARD_RATE_HZ)
    faulty = machine_sound(SECONDS, seed=1, faulty=True, rate_hz=CARD_RATE_HZ)
    audio = np.random.default_rng(0).normal(0, 0.1, (8, normal.shape[1])).astype(np.float32)
    audio[[0, 7]] = normal
    audio[1] = faulty[0]
    return audio


def example() -> str:
    """The part of the example that lets monitors share a card."""
    text = (builtin_folder() / "alsa/asound.conf").read_text(encoding="utf-8")
    return text[text.index("pcm.array") :]


def profile(folder: Path, device: str, channels: list[int]) -> str:
    path = folder / "site.toml"
    path.write_text(f'[capture]\ndevice = "{device}"\nchannels = {channels}\n', encoding="utf-8")
    return str(path)


def device(n_channels: int) -> InputDevice:
    return InputDevice(0, "hw:1,0", "ALSA", n_channels, CARD_RATE_HZ)


def test_a_card_is_opened_with_as_many_channels_as_it_takes() -> None:
    assert channel_counts(device(2), [1, 2]) == [2]
    assert channel_counts(device(8), [3, 5]) == [5, 8]
    assert channel_counts(device(128), [8, 1]) == [8, 64]
    with pytest.raises(UsageError, match=r"has 4 channels, capture\.channels = \[3, 5\] asks"):
        channel_counts(device(4), [3, 5])


def test_two_monitors_of_one_card_have_a_far_microphone_in_common(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    far_dbfs, faulty = [], []
    with ExitStack() as stack:
        monitors = []
        for name, channels in (("pump-3", [1, 8]), ("pump-4", [2, 8])):
            folder = tmp_path / name
            cards = FakeCards(folder, n_channels=8)
            feeder = cards.add_fifo(1, eight_microphones())
            conf = Path(cards.environment["ALSA_CONFIG_PATH"])
            # dsnoop shares nothing but hardware: here each monitor is fed the same itself.
            shared = example().replace('"hw:array"', '"hw:1"').replace("type dsnoop", "type plug")
            lines = [line for line in shared.splitlines() if "ipc_" not in line]
            conf.write_text(conf.read_text() + "\n".join(lines) + "\n", encoding="utf-8")
            stack.enter_context(feeder)
            args = ["--profile", profile(folder, "array", channels), "--duration-s", "1.5"]
            monitors.append(stack.enter_context(start(mini_bundle, args, cards.environment)))
        for process in monitors:
            first = of(read_until(process.stdout, "score"), "score")[0]
            far_dbfs.append(first["level_dbfs"]["far"])
            faulty.append(first["score"] > first["threshold"])
            read_until(process.stdout, "stopped")
            assert process.wait(TIMEOUT_S) == 0

    assert faulty == [False, True]
    assert far_dbfs[0] == pytest.approx(far_dbfs[1], abs=0.2)


def test_alsa_understands_the_example_down_to_the_hardware(tmp_path: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path, n_channels=8)
    conf = Path(cards.environment["ALSA_CONFIG_PATH"])
    conf.write_text(conf.read_text() + example(), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        env=os.environ | cards.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    # What is wrong is the fake card, which is no hardware, and nothing before it.
    assert "pcm_direct" in done.stderr
    assert "slave" in done.stderr
