"""Which sound devices there are, and which one a user means.

PortAudio calls an ALSA card ``USB Audio: - (hw:1,0)``. A name as ALSA writes it,
``hw:1``, is compared with the numbers in brackets and never as a piece of text, so
``hw:1`` is not ``hw:10``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from edge_asd.audio.block import N_CHANNELS
from edge_asd.capture.sound_cards import SoundCard, printable, sound_cards
from edge_asd.errors import AudioError, DeviceNotFoundError, UsageError

__all__ = [
    "DeviceChoice",
    "InputDevice",
    "channel_counts",
    "input_devices",
    "lasting_name",
    "load_sounddevice",
    "refusal",
    "resolve",
]

_MOST_CHANNELS = 64  # converting devices claim any number
_FORMS = "hw:1, hw:1,0, plughw:1, hw:<card id>, usb:VID:PID[:SERIAL], an exact name, an index"
_ALSA_QUERY = re.compile(r"(?:plug)?hw:(?:CARD=)?(?P<card>[\w-]+)(?:,(?:DEV=)?(?P<device>\d+))?")
_ALSA_NAME = re.compile(r"(?:^|\()hw:(?P<card>\w+),(?P<device>\d+)\)?$")
_USB_QUERY = re.compile(r"(?P<model>usb:[0-9a-f]{4}:[0-9a-f]{4})(?P<serial>:.+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A sound device that can record."""

    index: int  # PortAudio's; changes when devices come and go
    name: str
    host_api: str
    n_channels: int
    default_rate_hz: int
    is_default: bool = False
    card: SoundCard | None = None  # where the system says

    @property
    def usable(self) -> bool:
        """Whether it has the two channels that are needed."""
        return self.n_channels >= N_CHANNELS

    @property
    def alsa(self) -> tuple[str, int]:
        """Card and device number of an ALSA card; no card has the number ``""``."""
        match = _ALSA_NAME.search(self.name)
        return (match["card"], int(match["device"])) if match else ("", 0)


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device that a query means, and why."""

    device: InputDevice
    reason: str  # in words, for people
    lasting_name: str  # means the same device after a reboot or when it is plugged in again


def input_devices(root: Path = Path("/"), *, refresh: bool = False) -> list[InputDevice]:
    """Ask PortAudio for all devices that can record, and the kernel for their cards.

    Parameters
    ----------
    root : of the file system where the kernel lists its cards
    refresh : look again; PortAudio remembers what it saw first. Ends every open stream.

    Raises
    ------
    AudioError
        When the PortAudio library is missing or finds no sound system.
    """
    sounddevice = load_sounddevice()
    try:
        if refresh and sounddevice._initialized:
            sounddevice._terminate()
        if refresh:
            sounddevice._initialize()
        hosts = sounddevice.query_hostapis()
        found = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        raise AudioError(f"PortAudio cannot list the sound devices: {error.args[0]}") from error
    default = sounddevice.default.device[0]
    devices = [
        InputDevice(
            index=info["index"],
            name=printable(info["name"]),
            host_api=hosts[info["hostapi"]]["name"],
            n_channels=info["max_input_channels"],
            default_rate_hz=round(info["default_samplerate"]),
            is_default=info["index"] == default,
        )
        for info in found
        if info["max_input_channels"] > 0
    ]
    cards = {str(card.number): card for card in sound_cards(root)}
    return [replace(device, card=cards.get(device.alsa[0])) for device in devices]


def resolve(query: str, devices: Sequence[InputDevice]) -> DeviceChoice:
    """Return the one device that `query` names.

    Parameters
    ----------
    query
        An index (``3``), an ALSA card by number or by its id (``hw:1``, ``hw:1,0``,
        ``plughw:1``, ``hw:Device``, ``Device``), a USB device (``usb:0d8c:0014``, with
        ``:SERIAL`` where there are two), an exact name with or without the ALSA numbers in
        brackets, or ``default``. Without a device number, a card means its first device.
    devices : from :func:`input_devices`

    Raises
    ------
    DeviceNotFoundError
        When nothing matches; it may be plugged in later. The message lists what there is.
    UsageError
        When `query` can never name a device, names several, or one with a single channel.
    """
    query = query.strip()
    found, reason = _matches(query, devices)
    if not found:
        raise DeviceNotFoundError(f"no sound device {query!r}; {_listing(devices)}")
    if len(found) > 1:
        raise UsageError(f"{len(found)} sound devices are called {query!r}; {_listing(found)}")
    (device,) = found
    if not device.usable:
        usable = [other for other in devices if other.usable]
        raise UsageError(
            f"sound device {device.name!r} has 1 channel, expected 2: "
            f"the near and the far microphone; {_listing(usable)}"
        )
    return DeviceChoice(device, reason, lasting_name(device, devices))


def lasting_name(device: InputDevice, devices: Sequence[InputDevice]) -> str:
    """Return the shortest name that means this device alone, also after a reboot."""
    names: list[str] = []
    if card := device.card:
        names += [*card.usb_names, f"hw:{card.id}", f"hw:{card.id},{device.alsa[1]}"]
    for name in (*names, device.name):
        with suppress(UsageError):  # a device may call itself anything, also "usb:"
            if _matches(name, devices)[0] == [device]:
                return name
    return str(device.index)


def load_sounddevice() -> Any:
    """Return the ``sounddevice`` module.

    Raises
    ------
    AudioError
        When the PortAudio library is missing.
    """
    try:
        import sounddevice
    except OSError as error:
        raise AudioError(
            f"cannot use sound cards ({error}); install the library: apt-get install libportaudio2"
        ) from error
    return sounddevice


def channel_counts(device: InputDevice, near_far: Sequence[int]) -> list[int]:
    """Return with how many channels a device may be opened to hear two of them, the best first.

    Parameters
    ----------
    near_far : numbers of the channels, counted from 1

    Raises
    ------
    UsageError
        When it has fewer.
    """
    wanted = max(near_far)
    if wanted > device.n_channels:
        raise UsageError(
            f"sound device {device.name!r} has {device.n_channels} channels, capture.channels = "
            f"{list(near_far)} asks for more"
        )
    # Some cards record all of their channels or none.
    return list(dict.fromkeys((wanted, min(device.n_channels, _MOST_CHANNELS))))


def refusal(device: InputDevice, rate_hz: int, n_channels: int = N_CHANNELS) -> Exception | None:
    """Return why a device does not record so many channels at a sample rate; None: it does."""
    sounddevice = load_sounddevice()
    try:
        sounddevice.check_input_settings(
            device=device.index, channels=n_channels, dtype="float32", samplerate=rate_hz
        )
    except sounddevice.PortAudioError as error:
        return cast(Exception, error)
    return None


def _matches(query: str, devices: Sequence[InputDevice]) -> tuple[list[InputDevice], str]:
    """Devices that `query` means, and why."""
    if query == "default":
        return [device for device in devices if device.is_default], "it is the system's default"
    if query.isdecimal():
        return [d for d in devices if d.index == int(query)], f"it has index {query}"
    if query.startswith("usb:"):
        return _of_usb(query, devices)
    if query.startswith(("hw:", "plughw:")):
        return _of_alsa(query, devices)
    for read in (lambda device: device.name, _without_numbers):
        if found := [device for device in devices if read(device) == query]:
            return found, "it has this name"
    if not query:
        raise UsageError(f"no sound device is named; expected {_FORMS} or default")
    return _first_inputs(_with_id(query, devices)), f"its card has the id {query}"


def _of_alsa(query: str, devices: Sequence[InputDevice]) -> tuple[list[InputDevice], str]:
    wanted = _ALSA_QUERY.fullmatch(query)
    if wanted is None:
        raise UsageError(f"{query!r} names no sound card; expected {_FORMS}")
    card, number = wanted["card"], wanted["device"]
    if found := _with_id(card, devices):
        reason = f"card {found[0].alsa[0]} has the id {card}"
    else:
        found = [device for device in devices if device.alsa[0] == card]
        reason = f"it is on card {card}"
    if number is None:
        return _first_inputs(found), reason
    return [d for d in found if d.alsa[1] == int(number)], f"{reason}, device {number}"


def _of_usb(query: str, devices: Sequence[InputDevice]) -> tuple[list[InputDevice], str]:
    wanted = _USB_QUERY.fullmatch(query)
    if wanted is None:
        raise UsageError(
            f"{query!r} names no USB sound card; expected usb:VID:PID or usb:VID:PID:SERIAL, "
            "as 'edge-asd devices' and 'lsusb' show them"
        )
    name = wanted["model"].lower() + (wanted["serial"] or "")
    found = _first_inputs(d for d in devices if (card := d.card) and name in card.usb_names)
    cards = " and ".join(f"card {d.card.number} ({d.card.id})" for d in found if d.card)
    return found, f"{query} is {cards}"


def _with_id(card_id: str, devices: Iterable[InputDevice]) -> list[InputDevice]:
    return [device for device in devices if device.card and device.card.id == card_id]


def _first_inputs(devices: Iterable[InputDevice]) -> list[InputDevice]:
    """Return the input with the lowest number of each card."""
    by_card: dict[str, InputDevice] = {}
    for device in sorted(devices, key=lambda device: device.alsa):
        by_card.setdefault(device.alsa[0], device)
    return list(by_card.values())


def _without_numbers(device: InputDevice) -> str:
    """``USB Audio: - (hw:1,0)`` -> ``USB Audio``."""
    return re.sub(r"[\s:-]*\(hw:\w+,\d+\)$", "", device.name)


def _listing(devices: Sequence[InputDevice]) -> str:
    if not devices:
        return "there are none that can record two channels: plug one in, check 'arecord -l'"
    entries = (f"{_named(device)} ({device.n_channels} in)" for device in devices)
    return f"choose one of: {', '.join(entries)}"


def _named(device: InputDevice) -> str:
    name = f"{device.index} = {device.name!r}"
    if (card := device.card) is None:
        return name
    port = f" at USB port {card.usb.port}" if card.usb and card.usb.port else ""
    return f"{name} = hw:{card.id}{port}"
