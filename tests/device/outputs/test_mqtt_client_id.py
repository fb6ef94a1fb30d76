"""The default client id is one device's alone, and the same after a restart."""

from __future__ import annotations

import re
from pathlib import Path

from edge_asd.outputs.mqtt_client_id import default_client_id

ID = re.compile(r"edge-asd-pump-[0-9a-f]{8}")


def a_root(folder: Path, *, machine_id: str = "", serial: str = "") -> Path:
    board = folder / "sys/firmware/devicetree/base"
    for directory in (folder / "etc", board):
        directory.mkdir(parents=True)
    (folder / "etc/machine-id").write_text(f"{machine_id}\n")
    (board / "serial-number").write_text(f"{serial}\0")
    return folder


def test_it_stays_the_same_over_restarts(tmp_path: Path) -> None:
    root, folder = a_root(tmp_path / "root", machine_id="a1"), tmp_path / "spool"

    first = default_client_id("pump", folder, root)

    assert ID.fullmatch(first)
    assert default_client_id("pump", folder, root) == first


def test_machines_of_one_name_on_several_devices_differ(tmp_path: Path) -> None:
    devices = [a_root(tmp_path / name, machine_id=name) for name in ("one", "two")]

    assert len({default_client_id("pump", None, root) for root in devices}) == 2


def test_copies_of_one_memory_card_on_several_boards_differ(tmp_path: Path) -> None:
    boards = [
        a_root(tmp_path / serial, machine_id="the same", serial=serial) for serial in ("1", "2")
    ]
    folder = tmp_path / "spool"

    assert len({default_client_id("pump", folder, root) for root in boards}) == 2


def test_containers_of_one_image_differ_by_their_state(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root", machine_id="of the image")

    assert len({default_client_id("pump", tmp_path / name, root) for name in ("1", "2")}) == 2


def test_a_system_without_any_identity_and_state_gets_one_by_chance(tmp_path: Path) -> None:
    assert default_client_id("pump", None, tmp_path) != default_client_id("pump", None, tmp_path)


def test_a_damaged_file_or_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "client_id.json").write_text("{")
    (tmp_path / "file").touch()

    assert ID.fullmatch(default_client_id("pump", tmp_path, tmp_path))
    assert ID.fullmatch(default_client_id("pump", tmp_path / "file", tmp_path))
