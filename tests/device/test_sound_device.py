"""Which device a name means."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from edge_asd.errors import AudioError, DeviceNotFoundError
from edge_asd.sound_device import InputDevice, load_sounddevice, resolve


def device(index: int, name: str, n_channels: int = 2, *, is_default: bool = False) -> InputDevice:
    return InputDevice(index, name, "ALSA", n_channels, 48000, is_default)


DEVICES = [
    device(0, "HDA Intel PCH: ALC897 Analog (hw:0,0)"),
    device(2, "USB Audio: - (hw:10,0)"),
    device(3, "USB Audio: - (hw:1,0)"),
    device(4, "USB Audio: #1 (hw:1,1)"),
    device(5, "hw:3,0", 128),
    device(6, "Mono Mic: - (hw:4,0)", 1),
    device(7, "pulse", 32, is_default=True),
    device(9, "Twin"),
    device(10, "Twin"),
]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("hw:1", 3),
        ("plughw:1", 3),
        ("hw:1,0", 3),
        ("plughw:1,1", 4),
        ("hw:CARD=1,DEV=1", 4),
        ("hw:10", 2),
        ("hw:10,0", 2),
        ("hw:3", 5),
        ("hw:3,0", 5),
        ("3", 3),
        (" 10 ", 10),
        ("pulse", 7),
        ("default", 7),
        ("USB Audio: - (hw:10,0)", 2),
        ("HDA Intel PCH: ALC897 Analog", 0),
    ],
)
def test_a_query_means_exactly_one_device(query: str, index: int) -> None:
    assert resolve(query, DEVICES).index == index


def test_hw_1_is_not_hw_10() -> None:
    only_ten = [device(0, "USB Audio: - (hw:10,0)"), device(1, "hw:11,1")]

    with pytest.raises(DeviceNotFoundError):
        resolve("hw:1", only_ten)


@pytest.mark.parametrize("query", ["hw:7", "hw:1,2", "8", "USB", "nonsense", "", "hw:", "hw:1,"])
def test_an_unknown_device_lists_those_there_are(query: str) -> None:
    with pytest.raises(DeviceNotFoundError) as raised:
        resolve(query, DEVICES)

    message = str(raised.value)
    assert repr(query.strip()) in message or repr(query) in message
    assert all(repr(each.name) in message for each in DEVICES)
    assert "\n" not in message


def test_two_devices_of_one_name_are_told_apart_by_their_index() -> None:
    with pytest.raises(DeviceNotFoundError, match=r"2 sound devices called 'Twin'.*9 = .*10 = "):
        resolve("Twin", DEVICES)


def test_a_mono_device_is_refused_with_a_reason() -> None:
    with pytest.raises(AudioError, match=r"'Mono Mic: - .*' has 1 channel, expected 2"):
        resolve("hw:4", DEVICES)


def test_without_any_device_the_message_says_so() -> None:
    with pytest.raises(DeviceNotFoundError, match="there are none"):
        resolve("hw:1", [])


def test_the_lasting_id_of_a_card_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "Device").symlink_to("card10")

    assert resolve("hw:Device", DEVICES, cards=tmp_path).index == 2
    assert resolve("plughw:Device,0", DEVICES, cards=tmp_path).index == 2


def test_a_missing_library_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_portaudio(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_portaudio)

    with pytest.raises(AudioError, match=r"apt-get install libportaudio2") as raised:
        load_sounddevice()
    assert "\n" not in str(raised.value)
