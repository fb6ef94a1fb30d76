"""The sound cards that the kernel knows, and the names that stay with them.

A card's number changes when another one is found first at boot. What stays is the
vendor and product of a USB card, with its serial number where it has one, and the id
that the kernel gives it. ``/proc/asound`` lists the cards; where it is hidden, as in
containers, ``/sys/class/sound`` does.

What a device says about itself is text from the outside: it is cut, and only printable
characters are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from edge_asd.system_files import first_line, read_text

__all__ = ["SoundCard", "UsbIdentity", "printable", "sound_cards"]

_LINE = re.compile(r"^\s*(?P<number>\d+) \[(?P<id>[^\]]*)\]: (?P<driver>.*?) - (?P<name>.*)$")
_CARD_FOLDER = re.compile(r"card(\d+)")
_USB_ID = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})")
_MAX_TEXT = 120
_MAX_CARDS = 32  # SNDRV_CARDS of the kernel
_USB_PARENTS = 4  # from the interface that is the sound card up to its USB device


@dataclass(frozen=True, slots=True)
class UsbIdentity:
    """What a USB device calls itself, and where it is plugged in."""

    vendor: str  # four lower-case hexadecimal digits
    product: str
    serial: str = ""  # many sound cards have none
    port: str = ""  # "1-1.2"; "" where only /proc is known

    def __str__(self) -> str:
        """As `--device` takes it: ``usb:0d8c:0014`` or ``usb:0d8c:0014:SERIAL``."""
        return ":".join(filter(None, ("usb", self.vendor, self.product, self.serial)))


@dataclass(frozen=True, slots=True)
class SoundCard:
    """One card."""

    number: int  # the 1 of hw:1; may be another after the next boot
    id: str  # the kernel's or udev's name for it: hw:Device
    name: str
    usb: UsbIdentity | None = None

    @property
    def usb_names(self) -> list[str]:
        """What `--device` takes for a USB card: without and with its serial number."""
        return [str(replace(self.usb, serial="")), str(self.usb)] if self.usb else []


def sound_cards(root: Path = Path("/")) -> tuple[SoundCard, ...]:
    """Return all cards by number; none where the system does not say.

    Parameters
    ----------
    root : of the file system, for tests
    """
    sys_folder = root / "sys/class/sound"
    listed = _listed(root / "proc/asound") or _found(sys_folder)
    return tuple(
        SoundCard(number, id_, name, _usb(root / f"proc/asound/card{number}", sys_folder, number))
        for number, id_, name in sorted(listed)[:_MAX_CARDS]
    )


def printable(text: str) -> str:
    """Return a name that a device gives itself, fit to be shown: one short line."""
    kept = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(kept.split())[:_MAX_TEXT]


def _listed(folder: Path) -> list[tuple[int, str, str]]:
    """Number, id and name of each card in ``/proc/asound/cards``."""
    lines = read_text(folder / "cards").splitlines()
    found = [match for line in lines if (match := _LINE.match(line))]
    return [
        (int(match["number"]), printable(match["id"]), printable(match["name"])) for match in found
    ]


def _found(folder: Path) -> list[tuple[int, str, str]]:
    """The same from ``/sys/class/sound``."""
    cards = []
    for path in folder.glob("card*"):
        if match := _CARD_FOLDER.fullmatch(path.name):
            id_ = printable(read_text(path / "id")) or match[1]
            name = printable(read_text(path / "device/../product")) or id_
            cards.append((int(match[1]), id_, name))
    return cards


def _usb(proc_folder: Path, sys_folder: Path, number: int) -> UsbIdentity | None:
    device = (sys_folder / f"card{number}/device").resolve()
    for folder in (device, *device.parents[:_USB_PARENTS]):
        ids = f"{first_line(folder / 'idVendor')}:{first_line(folder / 'idProduct')}"
        if match := _USB_ID.fullmatch(ids):
            serial = printable(read_text(folder / "serial"))
            return UsbIdentity(match[1].lower(), match[2].lower(), serial, printable(folder.name))
    if match := _USB_ID.fullmatch(first_line(proc_folder / "usbid")):
        return UsbIdentity(match[1].lower(), match[2].lower())
    return None
