"""What the kernel says about its cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from device.fake_kernel import KernelCard, write_kernel

from edge_asd.capture.sound_cards import SoundCard, UsbIdentity, printable, sound_cards

PCH = KernelCard(0, "PCH", "HDA Intel PCH", port="0-0")
MICROPHONE = KernelCard(1, "Device", "USB Audio Device", "0d8c", "0014", port="1-1.2")
INTERFACE = KernelCard(12, "CODEC", "Scarlett [2i2] - 3rd", "1235", "8210", "Y7ABC:1", "1-3")
CARDS = [PCH, MICROPHONE, INTERFACE]


def test_cards_come_from_proc_and_their_serial_and_port_from_sys(tmp_path: Path) -> None:
    found = sound_cards(write_kernel(tmp_path, CARDS))

    assert found == (
        SoundCard(0, "PCH", "HDA Intel PCH"),
        SoundCard(1, "Device", "USB Audio Device", UsbIdentity("0d8c", "0014", "", "1-1.2")),
        SoundCard(
            12, "CODEC", "Scarlett [2i2] - 3rd", UsbIdentity("1235", "8210", "Y7ABC:1", "1-3")
        ),
    )


def test_where_proc_is_hidden_sys_tells_the_same(tmp_path: Path) -> None:
    found = sound_cards(write_kernel(tmp_path, CARDS, proc=False))

    assert [(card.number, card.id) for card in found] == [(0, "PCH"), (1, "Device"), (12, "CODEC")]
    assert [card.usb and str(card.usb) for card in found] == [
        None,
        "usb:0d8c:0014",
        "usb:1235:8210:Y7ABC:1",
    ]
    assert found[1].name == "USB Audio Device"


def test_where_sys_is_hidden_proc_tells_all_but_the_serial(tmp_path: Path) -> None:
    found = sound_cards(write_kernel(tmp_path, CARDS, sys=False))

    assert [card.usb for card in found] == [
        None,
        UsbIdentity("0d8c", "0014"),
        UsbIdentity("1235", "8210"),
    ]


@pytest.mark.parametrize("proc", [True, False])
def test_a_system_without_cards_has_none(tmp_path: Path, proc: bool) -> None:
    assert sound_cards(tmp_path) == ()
    assert sound_cards(write_kernel(tmp_path, [], proc=proc)) == ()


def test_what_a_device_says_about_itself_is_cut_and_made_printable(tmp_path: Path) -> None:
    evil = KernelCard(1, "Device", "\x1b[2J" + "x" * 5000, "0D8C", "0014", "a\x07b\x9b31m" * 100)

    (card,) = sound_cards(write_kernel(tmp_path, [evil]))

    assert card.usb is not None
    for text in (card.name, card.usb.serial):
        assert text.isprintable()
        assert len(text) <= 120
    assert (card.usb.vendor, card.usb.product) == ("0d8c", "0014")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00 [\x00", b" 1 [no end\n", b"[]: - \n" * 9999])
def test_a_broken_list_of_cards_is_no_error(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "proc/asound"
    folder.mkdir(parents=True)
    (folder / "cards").write_bytes(content)

    assert sound_cards(tmp_path) == ()


def test_a_printable_name_is_one_line() -> None:
    assert printable("USB\n  Audio\t\x1b[31m") == "USB Audio [31m"
