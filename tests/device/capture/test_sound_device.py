"""Which device a name means."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import pytest

from edge_asd.capture.sound_cards import SoundCard, UsbIdentity
from edge_asd.capture.sound_device import InputDevice, lasting_name, load_sounddevice, resolve
from edge_asd.errors import AudioError, DeviceNotFoundError, UsageError


def device(
    index: int,
    name: str,
    n_channels: int = 2,
    *,
    is_default: bool = False,
    card: SoundCard | None = None,
) -> InputDevice:
    return InputDevice(index, name, "ALSA", n_channels, 48000, is_default, card)


PCH = SoundCard(0, "PCH", "HDA Intel PCH")
USB = SoundCard(1, "USB", "Scarlett", UsbIdentity("1235", "8210", "A:7", "1-3"))
CHEAP = SoundCard(10, "Device", "USB Audio", UsbIdentity("0d8c", "0014", "", "1-1"))
DEVICES = [
    device(0, "HDA Intel PCH: ALC897 Analog (hw:0,0)", card=PCH),
    device(2, "USB Audio: - (hw:10,0)", card=CHEAP),
    device(3, "USB Audio: - (hw:1,0)", card=USB),
    device(4, "USB Audio: #1 (hw:1,1)", card=USB),
    device(5, "hw:3,0", 128),
    device(6, "Mono Mic: - (hw:4,0)", 1),
    device(7, "pulse", 32, is_default=True),
    device(9, "Twin"),
    device(10, "Twin"),
]
WITHOUT_CARDS = [replace(each, card=None) for each in DEVICES]  # a system that lists none


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
    assert resolve(query, WITHOUT_CARDS).device.index == index


def test_hw_1_is_not_hw_10() -> None:
    only_ten = [device(0, "USB Audio: - (hw:10,0)"), device(1, "hw:11,1")]

    with pytest.raises(DeviceNotFoundError):
        resolve("hw:1", only_ten)


@pytest.mark.parametrize("query", ["hw:7", "hw:1,2", "8", "USB", "nonsense", "usb:0d8c:0014"])
def test_an_unknown_device_lists_those_there_are(query: str) -> None:
    with pytest.raises(DeviceNotFoundError) as raised:
        resolve(query, WITHOUT_CARDS)

    message = str(raised.value)
    assert repr(query) in message
    assert all(repr(each.name) in message for each in DEVICES)
    assert "\n" not in message


@pytest.mark.parametrize("query", ["", " ", "hw:", "hw:1,", "hw:1,0,0", "usb:", "usb:1:2", "usb:x"])
def test_what_can_never_be_a_device_is_a_usage_error(query: str) -> None:
    with pytest.raises(UsageError, match=r"expected .*(hw:1|usb:VID:PID)"):
        resolve(query, DEVICES)


def test_two_devices_of_one_name_are_told_apart_by_their_index() -> None:
    with pytest.raises(UsageError, match=r"2 sound devices are called 'Twin'.*9 = .*10 = "):
        resolve("Twin", DEVICES)


def test_a_mono_device_is_refused_with_a_reason() -> None:
    with pytest.raises(UsageError, match=r"'Mono Mic: - .*' has 1 channel, expected 2"):
        resolve("hw:4", DEVICES)


def test_without_any_device_the_message_says_so() -> None:
    with pytest.raises(DeviceNotFoundError, match="there are none"):
        resolve("hw:1", [])


@pytest.mark.parametrize(
    ("query", "index", "reason"),
    [
        ("hw:Device", 2, "card 10 has the id Device"),
        ("plughw:Device,0", 2, "card 10 has the id Device, device 0"),
        ("hw:CARD=Device", 2, "card 10 has the id Device"),
        ("Device", 2, "its card has the id Device"),
        ("usb:0d8c:0014", 2, "usb:0d8c:0014 is card 10 (Device)"),
        ("usb:0D8C:0014", 2, "usb:0D8C:0014 is card 10 (Device)"),
        ("usb:1235:8210", 3, "usb:1235:8210 is card 1 (USB)"),
        ("usb:1235:8210:A:7", 3, "usb:1235:8210:A:7 is card 1 (USB)"),
        ("hw:1", 3, "it is on card 1"),
        ("hw:1,1", 4, "it is on card 1, device 1"),
        ("3", 3, "it has index 3"),
        ("default", 7, "it is the system's default"),
        ("pulse", 7, "it has this name"),
    ],
)
def test_a_choice_says_why(query: str, index: int, reason: str) -> None:
    choice = resolve(query, DEVICES)

    assert (choice.device.index, choice.reason) == (index, reason)


@pytest.mark.parametrize("query", ["usb:0d8c:0015", "usb:1235:8210:B", "usb:0d8c:0014:A"])
def test_another_usb_device_is_not_taken_instead(query: str) -> None:
    with pytest.raises(DeviceNotFoundError):
        resolve(query, DEVICES)


def test_two_usb_cards_that_are_alike_are_both_listed() -> None:
    cards = [
        SoundCard(1, "Mic", "Mic", UsbIdentity("0d8c", "0014", port="1-1")),
        SoundCard(2, "Mic_1", "Mic", UsbIdentity("0d8c", "0014", port="1-2")),
    ]
    devices = [device(c.number, f"Mic: - (hw:{c.number},0)", card=c) for c in cards]

    with pytest.raises(
        UsageError, match=r"2 .*'usb:0d8c:0014'; .*hw:Mic at USB port 1-1.*hw:Mic_1 at .*1-2"
    ):
        resolve("usb:0d8c:0014", devices)


@pytest.mark.parametrize(
    ("index", "lasting"),
    [
        (0, "hw:PCH"),
        (2, "usb:0d8c:0014"),
        (3, "usb:1235:8210"),
        (4, "hw:USB,1"),  # the name of the USB device means its first input
        (5, "hw:3,0"),
        (7, "pulse"),
        (9, "9"),  # nothing tells the twins apart
    ],
)
def test_the_lasting_name_is_the_shortest_that_means_one_device(index: int, lasting: str) -> None:
    wanted = next(each for each in DEVICES if each.index == index)

    assert lasting_name(wanted, DEVICES) == lasting
    assert resolve(lasting, DEVICES).device == wanted


def test_two_usb_cards_that_are_alike_last_by_their_serial() -> None:
    cards = [
        SoundCard(1, "Mic", "Mic", UsbIdentity("0d8c", "0014", "A")),
        SoundCard(2, "Mic_1", "Mic", UsbIdentity("0d8c", "0014", "B")),
    ]
    devices = [device(c.number, f"Mic: - (hw:{c.number},0)", card=c) for c in cards]

    assert lasting_name(devices[1], devices) == "usb:0d8c:0014:B"


@pytest.mark.parametrize("name", ["usb:evil", "hw:;", "default", "0"])
def test_a_device_cannot_pose_as_another_by_its_name(name: str) -> None:
    evil = device(1, name)
    devices = [device(0, "good", is_default=True), evil]

    assert resolve(lasting_name(evil, devices), devices).device == evil


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
