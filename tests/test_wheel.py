"""The wheel holds exactly the tracked sources of both packages, and the profiles."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import ROOT

INSTALLED_AS = {
    "edge_asd": "edge_asd",
    "export/edge_asd_export": "edge_asd_export",
    "firmware_config": "edge_asd/_profiles",
}
# What `edge-asd service install` copies, or an administrator does.
FIRMWARE_CONFIG = {
    "default.toml",
    "jetson-orin-nano.toml",
    "raspberry-pi-4.toml",
    "raspberry-pi-5.toml",
    "x86-64.toml",
    "alsa/asound.conf",
    "systemd/edge-asd@.service",
    "udev/70-edge-asd.rules",
}


def tracked(folder: str) -> list[str]:
    """Paths below `folder` that git tracks, relative to it."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [path for path in listing.stdout.split("\0") if path]
    return [str(Path(path).relative_to(folder)) for path in paths]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of tracked files")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    subprocess.run([*command, "-q", "-w", folder, ROOT], check=True, capture_output=True)
    (path,) = folder.glob("edge_asd-*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_the_tracked_files_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{target}/{path}"
        for folder, target in INSTALLED_AS.items()
        for path in tracked(folder)
        if Path(path).name != ".gitkeep"
    }

    found = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert found == expected


def test_wheel_carries_the_firmware_configuration(wheel: zipfile.ZipFile) -> None:
    folder = f"{INSTALLED_AS['firmware_config']}/"

    found = {name.removeprefix(folder) for name in wheel.namelist() if name.startswith(folder)}

    assert found == FIRMWARE_CONFIG


@pytest.mark.parametrize("package", ["edge_asd", "edge_asd_export"])
def test_wheel_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_wheel_carries_the_licence_and_one_command(wheel: zipfile.ZipFile) -> None:
    info = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    assert wheel.read(info).decode() == "[console_scripts]\nedge-asd = edge_asd.cli:main\n"
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
