"""Profiles as editors write them, and the paths in them."""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from edge_asd.errors import ProfileError
from edge_asd.profile import load_profile
from edge_asd.state.places import state_root

TEXT = "[alarm]\nholdoff_s = 60  # Lüfter\n[capture]\ndevice = 'default'\n"
DEFAULT = ROOT / "firmware_config" / "default.toml"


def path_keys(table: dict[str, Any], *above: str) -> list[tuple[str, ...]]:
    """Every key of the default profile that names a file or a folder."""
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            found += path_keys(value, *above, key)
        elif key.endswith(("_file", "_dir")) or key == "path":
            found.append((*above, key))
    return found


PATH_KEYS = path_keys(tomllib.loads(DEFAULT.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
    ],
)
def test_marks_and_line_ends_of_other_systems_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)

    assert load_profile(str(path)).alarm.holdoff_s == 60


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (TEXT.encode("utf-16"), "is UTF-16 text"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "is UTF-16 text"),
        (TEXT.encode("utf-16-le"), "is UTF-16 text"),
        (TEXT.encode("utf-32"), "is UTF-16 text"),
        (TEXT.encode("latin-1"), r"is not UTF-8 text \(byte 0xfc in line 2\)"),
    ],
)
def test_text_that_is_not_utf8_is_refused_with_what_it_is(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)

    with pytest.raises(ProfileError, match=complaint) as caught:
        load_profile(str(path))

    assert "save it as UTF-8" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_default_profile_has_paths_of_every_section() -> None:
    assert ("site", "state_dir") in PATH_KEYS
    assert len(PATH_KEYS) >= 8


@pytest.mark.parametrize("keys", PATH_KEYS, ids=".".join)
def test_a_tilde_is_the_home_folder_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HOME", "/home/mia")
    path = tmp_path / "site.toml"
    path.write_text(f"[{'.'.join(keys[:-1])}]\n{keys[-1]} = '~/edge/x'\n", encoding="utf-8")

    here: Any = load_profile(str(path))
    of_service: Any = load_profile(str(path), Path("/var/lib/edge-asd"))

    for key in keys:
        here, of_service = getattr(here, key), getattr(of_service, key)
    assert (here, of_service) == ("/home/mia/edge/x", "/var/lib/edge-asd/edge/x")


def test_state_is_kept_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/mia")
    path = tmp_path / "site.toml"
    path.write_text("[site]\nstate_dir = '~/state'\n", encoding="utf-8")

    assert state_root(None, load_profile(str(path)), {}) == Path("/home/mia/state")


def test_the_home_folder_of_nobody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("[site]\nstate_dir = '~nobody-of-that-name/x'\n", encoding="utf-8")

    with pytest.raises(ProfileError, match=r"site\.state_dir is .*no such user"):
        load_profile(str(path))
