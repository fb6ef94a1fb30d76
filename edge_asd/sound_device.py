"""Which sound cards there are, and which one a user means.

PortAudio calls an ALSA card ``USB Audio: - (hw:1,0)``. A name as ALSA writes it,
``hw:1``, is compared with the numbers in brackets and never as a piece of text, so
``hw:1`` is not ``hw:10``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_asd.errors import AudioError, DeviceNotFoundError

__all__ = ["InputDevice", "input_devices", "load_sounddevice", "resolve"]

_ALSA_QUERY = re.compile(r"(?:plug)?hw:(?:CARD=)?(?P<card>\w+)(?:,(?:DEV=)?(?P<device>\d+))?")
_ALSA_NAME = re.compile(r"(?:^|\()hw:(?P<card>\w+),(?P<device>\d+)\)?$")


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


def input_devices() -> list[InputDevice]:
    """Ask PortAudio for all devices that can record.

    Raises
    ------
    AudioError
        When the PortAudio library is missing.
    """
    sounddevice = load_sounddevice()
    hosts = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    return [
        InputDevice(
            index=info["index"],
            name=info["name"],
            host_api=hosts[info["hostapi"]]["name"],
            n_channels=info["max_input_channels"],
            default_rate_hz=round(info["default_samplerate"]),
            is_default=info["index"] == default,
        )
        for info in sounddevice.query_devices()
        if info["max_input_channels"] > 0
    ]


def resolve(
    query: str, devices: Sequence[InputDevice], *, cards: Path = Path("/proc/asound")
) -> InputDevice:
    """Return the one device that `query` names.

    Parameters
    ----------
    query
        An index (``3``), an ALSA card by number or by its lasting id (``hw:1``, ``hw:1,0``,
        ``plughw:1``, ``hw:Device``), an exact name with or without the ALSA numbers in
        brackets, or ``default``. Without a device number, an ALSA card means its first
        device.
    cards
        Where the kernel links the ids of the cards to ``card0``, ``card1``, ...

    Raises
    ------
    DeviceNotFoundError
        When nothing or more than one thing matches; the message lists what there is.
    AudioError
        When the device has only one channel.
    """
    matches = _matches(query.strip(), devices, cards)
    if len(matches) != 1:
        found = "no sound device" if not matches else f"{len(matches)} sound devices called"
        raise DeviceNotFoundError(f"{found} {query!r}; {_listing(matches or devices)}")
    if not matches[0].usable:
        raise AudioError(
            f"sound device {matches[0].name!r} has 1 channel, expected 2: "
            f"the near and the far microphone; {_listing([d for d in devices if d.usable])}"
        )
    return matches[0]


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


def _matches(query: str, devices: Sequence[InputDevice], cards: Path) -> list[InputDevice]:
    if query == "default":
        return [device for device in devices if device.is_default]
    if query.isdecimal():
        return [device for device in devices if device.index == int(query)]
    if wanted := _ALSA_QUERY.fullmatch(query):
        link = cards / wanted["card"]
        card = link.readlink().name.removeprefix("card") if link.is_symlink() else wanted["card"]
        of_card = [d for d in devices if d.alsa is not None and d.alsa[0] == card]
        if wanted["device"] is not None:
            return [d for d in of_card if d.alsa == (card, int(wanted["device"]))]
        return sorted(of_card, key=lambda device: device.alsa or ("", 0))[:1]
    exact = [device for device in devices if device.name == query]
    return exact or [device for device in devices if _without_numbers(device.name) == query]


def _without_numbers(name: str) -> str:
    """``USB Audio: - (hw:1,0)`` -> ``USB Audio``."""
    return re.sub(r"[\s:-]*\(hw:\w+,\d+\)$", "", name)


def _listing(devices: Sequence[InputDevice]) -> str:
    if not devices:
        return "there are none that can record two channels: plug one in, check 'arecord -l'"
    entries = (f"{d.index} = {d.name!r} ({d.n_channels} in)" for d in devices)
    return f"choose one of: {', '.join(entries)}"
