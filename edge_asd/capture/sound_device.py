"""Which sound devices there are, and which one a user means.

PortAudio calls an ALSA card ``USB Audio: - (hw:1,0)``. A name as ALSA writes it,
``hw:1``, is compared with the numbers in brackets and never as a piece of text, so
``hw:1`` is not ``hw:10``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge_asd.capture.sound_cards import SoundCard, printable
from edge_asd.errors import AudioError, DeviceNotFoundError, UsageError

__all__ = [
    "DeviceChoice",
    "InputDevice",
    "card_of",
    "input_devices",
    "lasting_name",
    "load_sounddevice",
    "resolve",
]

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

    @property
    def usable(self) -> bool:
        """Whether it has the two channels that are needed."""
        return self.n_channels >= 2

    @property
    def alsa(self) -> tuple[str, int] | None:
        """Card and device number of an ALSA card, else None."""
        match = _ALSA_NAME.search(self.name)
        return (match["card"], int(match["device"])) if match else None


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device that a query means, and why."""

    device: InputDevice
    reason: str  # in words, for people
    lasting_name: str  # means the same device after a reboot or when it is plugged in again


def input_devices(*, refresh: bool = False) -> list[InputDevice]:
    """Ask PortAudio for all devices that can record.

    Parameters
    ----------
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
    return [
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


def resolve(
    query: str, devices: Sequence[InputDevice], cards: Sequence[SoundCard] = ()
) -> DeviceChoice:
    """Return the one device that `query` names.

    Parameters
    ----------
    query
        An index (``3``), an ALSA card by number or by its id (``hw:1``, ``hw:1,0``,
        ``plughw:1``, ``hw:Device``, ``Device``), a USB device (``usb:0d8c:0014``, with
        ``:SERIAL`` where there are two), an exact name with or without the ALSA numbers in
        brackets, or ``default``. Without a device number, a card means its first device.
    devices : from :func:`input_devices`
    cards : from :func:`edge_asd.capture.sound_cards.sound_cards`

    Raises
    ------
    DeviceNotFoundError
        When nothing matches; it may be plugged in later. The message lists what there is.
    UsageError
        When `query` can never name a device, names several, or one with a single channel.
    """
    query = query.strip()
    found, reason = _matches(query, devices, cards)
    if not found:
        raise DeviceNotFoundError(f"no sound device {query!r}; {_listing(devices, cards)}")
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} sound devices are called {query!r}; {_listing(found, cards)}"
        )
    (device,) = found
    if not device.usable:
        usable = [other for other in devices if other.usable]
        raise UsageError(
            f"sound device {device.name!r} has 1 channel, expected 2: "
            f"the near and the far microphone; {_listing(usable, cards)}"
        )
    return DeviceChoice(device, reason, lasting_name(device, devices, cards))


def card_of(device: InputDevice, cards: Iterable[SoundCard]) -> SoundCard | None:
    """Return the card that a device belongs to, where the system says."""
    number = device.alsa[0] if device.alsa else None
    return next((card for card in cards if str(card.number) == number), None)


def lasting_name(
    device: InputDevice, devices: Sequence[InputDevice], cards: Sequence[SoundCard]
) -> str:
    """Return the shortest name that means this device alone, also after a reboot."""
    names: list[str] = []
    if card := card_of(device, cards):
        if card.usb:
            names += [card.usb.model, str(card.usb)]
        number = device.alsa[1] if device.alsa else 0
        names += [f"hw:{card.id}", f"hw:{card.id},{number}"]
    for name in (*names, device.name):
        with suppress(UsageError):  # a device may call itself anything, also "usb:"
            if _matches(name, devices, cards)[0] == [device]:
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


def _matches(
    query: str, devices: Sequence[InputDevice], cards: Sequence[SoundCard]
) -> tuple[list[InputDevice], str]:
    """Devices that `query` means, and why."""
    if query == "default":
        return [device for device in devices if device.is_default], "it is the system's default"
    if query.isdecimal():
        return [d for d in devices if d.index == int(query)], f"it has index {query}"
    if query.startswith("usb:"):
        return _of_usb(query, devices, cards)
    if query.startswith(("hw:", "plughw:")):
        return _of_alsa(query, devices, cards)
    for read in (lambda device: device.name, _without_numbers):
        if found := [device for device in devices if read(device) == query]:
            return found, "it has this name"
    if not query:
        raise UsageError(f"no sound device is named; expected {_FORMS} or default")
    found = [device for c in cards if c.id == query for device in _first_on_card(c.number, devices)]
    return found, f"its card has the id {query}"


def _of_alsa(
    query: str, devices: Sequence[InputDevice], cards: Sequence[SoundCard]
) -> tuple[list[InputDevice], str]:
    wanted = _ALSA_QUERY.fullmatch(query)
    if wanted is None:
        raise UsageError(f"{query!r} names no sound card; expected {_FORMS}")
    card = next((str(c.number) for c in cards if c.id == wanted["card"]), wanted["card"])
    reason = f"it is on card {card}"
    if card != wanted["card"]:
        reason = f"card {card} has the id {wanted['card']}"
    if wanted["device"] is None:
        return _first_on_card(card, devices), reason
    number = int(wanted["device"])
    return [d for d in devices if d.alsa == (card, number)], f"{reason}, device {number}"


def _of_usb(
    query: str, devices: Sequence[InputDevice], cards: Sequence[SoundCard]
) -> tuple[list[InputDevice], str]:
    wanted = _USB_QUERY.fullmatch(query)
    if wanted is None:
        raise UsageError(
            f"{query!r} names no USB sound card; expected usb:VID:PID or usb:VID:PID:SERIAL, "
            "as 'edge-asd devices' and 'lsusb' show them"
        )
    name = wanted["model"].lower() + (wanted["serial"] or "")
    on_cards = [card for card in cards if card.usb and name in (card.usb.model, str(card.usb))]
    found = [device for card in on_cards for device in _first_on_card(card.number, devices)]
    names = " and ".join(f"card {card.number} ({card.id})" for card in on_cards)
    return found, f"{query} is {names}"


def _first_on_card(number: int | str, devices: Iterable[InputDevice]) -> list[InputDevice]:
    """Return the first device of a card."""
    of_card = [device for device in devices if device.alsa and device.alsa[0] == str(number)]
    return sorted(of_card, key=lambda device: device.alsa or ("", 0))[:1]


def _without_numbers(device: InputDevice) -> str:
    """``USB Audio: - (hw:1,0)`` -> ``USB Audio``."""
    return re.sub(r"[\s:-]*\(hw:\w+,\d+\)$", "", device.name)


def _listing(devices: Sequence[InputDevice], cards: Sequence[SoundCard]) -> str:
    if not devices:
        return "there are none that can record two channels: plug one in, check 'arecord -l'"
    entries = (f"{_named(device, cards)} ({device.n_channels} in)" for device in devices)
    return f"choose one of: {', '.join(entries)}"


def _named(device: InputDevice, cards: Sequence[SoundCard]) -> str:
    card = card_of(device, cards)
    if card is None:
        return f"{device.index} = {device.name!r}"
    port = f" at USB port {card.usb.port}" if card.usb and card.usb.port else ""
    return f"{device.index} = {device.name!r} = hw:{card.id}{port}"
