"""A tree of files as the kernel shows its sound cards, for ``root`` parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["KernelCard", "write_kernel"]


@dataclass(frozen=True)
class KernelCard:
    """A card; without `vendor` it is no USB card."""

    number: int
    id: str
    name: str = "USB Audio Device"
    vendor: str = ""
    product: str = ""
    serial: str = ""
    port: str = "1-1"


def write_kernel(
    root: Path, cards: list[KernelCard], *, proc: bool = True, sys: bool = True
) -> Path:
    """Write the cards to ``proc/asound``, to ``sys/class/sound``, or to both."""
    if proc:
        folder = root / "proc/asound"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [_proc_entry(folder, card) for card in cards]
        (folder / "cards").write_text("".join(lines) or "--- no soundcards ---\n")
    if sys:
        for card in cards:
            _sys_entry(root / "sys", card)
    return root


def _proc_entry(folder: Path, card: KernelCard) -> str:
    own = folder / f"card{card.number}"
    own.mkdir(exist_ok=True)
    (own / "id").write_text(f"{card.id}\n")
    if card.vendor:
        (own / "usbid").write_text(f"{card.vendor}:{card.product}\n")
    driver = "USB-Audio" if card.vendor else "HDA-Intel"
    return (
        f"{card.number:2} [{card.id:<15}]: {driver} - {card.name}\n"
        f"                      Maker {card.name} at usb-0000:00:14.0-1, full speed\n"
    )


def _sys_entry(sys: Path, card: KernelCard) -> None:
    """As in Linux: class -> devices, and from the card to the interface of the USB device."""
    usb_device = sys / f"devices/pci0000:00/usb1/{card.port}"
    interface = usb_device / f"{card.port}:1.0"
    own = interface / f"sound/card{card.number}"
    own.mkdir(parents=True)
    (own / "id").write_text(f"{card.id}\n")
    (own / "device").symlink_to("../../../" + interface.name)
    if card.vendor:
        (usb_device / "idVendor").write_text(f"{card.vendor}\n")
        (usb_device / "idProduct").write_text(f"{card.product}\n")
        (usb_device / "product").write_text(f"{card.name}\n")
    if card.serial:
        (usb_device / "serial").write_text(f"{card.serial}\n")
    links = sys / "class/sound"
    links.mkdir(parents=True, exist_ok=True)
    (links / f"card{card.number}").symlink_to(own.resolve())
    (links / f"controlC{card.number}").symlink_to(own.resolve())
