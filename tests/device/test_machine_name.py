"""Names of machines are the same whatever locale, and whatever spelling, they come in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from device.bundle_files import edit_manifest
from device.listening import write
from device.mini_bundle import machine_sound
from device.site_sounds import enrolled

from edge_asd.bundle.bundle import Bundle
from edge_asd.learn.store import LearnedStore
from edge_asd.machine_name import machine_name
from edge_asd.state.folder import StateFolder

NAME = "Lüfter"
APART = unicodedata.normalize("NFD", NAME)
LOCALES: list[dict[str, str]] = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("locale", LOCALES, ids=str)
@pytest.mark.parametrize("name", [NAME, APART])
def test_a_machine_is_known_by_its_name_under_any_locale(
    mini_bundle: Path, tmp_path: Path, locale: dict[str, str], name: str
) -> None:
    sound = machine_sound(12, seed=1)
    store = LearnedStore(StateFolder(tmp_path, NAME))
    with store.writing():
        store.add(enrolled(Bundle.open(mini_bundle), sound, machine=NAME))
    heard = write(tmp_path / "heard.wav", sound[:, :40_000])
    options = ("--bundle", str(mini_bundle), "--state", str(tmp_path), "--machine", name)

    scored = subprocess.run(
        [sys.executable, "-m", "edge_asd", "score", *options, heard],
        env=os.environ | locale,
        capture_output=True,
        check=False,
        encoding="utf-8",
    )

    assert scored.returncode == 0, scored.stderr
    assert NAME in scored.stderr + scored.stdout


def test_a_bundle_knows_its_machines_in_either_spelling(mini_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(mini_bundle, tmp_path / "bundle"))

    def rename(manifest: dict[str, Any]) -> None:
        manifest["machines"][APART] = manifest["machines"].pop("pump")

    edit_manifest(bundle, rename)

    assert Bundle.open(bundle).resolve_machine(NAME) == APART


@pytest.mark.parametrize("text", ["pump-3", "ポンプ", "ein Lüfter", "a\udcffb"])
def test_composed_names_stay_as_they_are(text: str) -> None:
    assert machine_name(text) == text


def test_bytes_that_another_locale_took_apart_are_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("latin-1"))

    assert machine_name("LÃ¼fter") == NAME
    assert machine_name(NAME) == NAME
