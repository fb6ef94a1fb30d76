from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.bundle_files import edit_manifest
from device.mini_bundle import machine_sound
from device.site_sounds import enrolled
from numpy.typing import NDArray

from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import FileEntry
from edge_asd.errors import StateError, UsageError
from edge_asd.learn.learned import Learned
from edge_asd.learn.opened_machine import open_machine
from edge_asd.learn.store import KEPT_VERSIONS, LearnedStore, learned_states
from edge_asd.state.folder import StateFolder


@pytest.fixture(scope="module")
def learned(mini_bundle: Path) -> Learned:
    return enrolled(Bundle.open(mini_bundle), machine_sound(15, seed=1))


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path, "pump-3")


def add(state: StateFolder, learned: Learned, times: int = 1) -> str:
    store = LearnedStore(state)
    with store.writing():
        return [store.add(learned) for _ in range(times)][-1]


def test_nothing_is_learned_where_there_is_no_folder(state: StateFolder) -> None:
    store = LearnedStore(state)

    assert (store.current, store.versions, store.load()) == (None, [], None)
    assert not state.path.exists()


def test_what_was_learned_is_read_as_it_was_written(state: StateFolder, learned: Learned) -> None:
    add(state, learned)

    found = LearnedStore(state).load()

    assert found is not None
    assert found.site == learned.site.model_copy(update={"files": found.site.files})
    for branch, rows in learned.enrolled["source"].rows.items():
        sound = found.enrolled["source"]
        np.testing.assert_array_equal(sound.rows[branch], rows)
        expected = learned.enrolled["source"].normalisations[branch]
        np.testing.assert_array_equal(sound.normalisations[branch].scale, expected.scale)


def test_only_the_newest_versions_are_kept_and_numbers_go_on(
    state: StateFolder, learned: Learned
) -> None:
    newest = add(state, learned, KEPT_VERSIONS + 2)

    assert newest == "v0007"
    assert LearnedStore(state).versions == ["v0003", "v0004", "v0005", "v0006", "v0007"]
    assert LearnedStore(state).current == newest


def test_going_back_changes_no_version(state: StateFolder, learned: Learned) -> None:
    add(state, learned, 2)
    store = LearnedStore(state)

    with store.writing():
        store.use("v0001")

    assert (store.current, store.versions) == ("v0001", ["v0001", "v0002"])
    assert add(state, learned) == "v0003"


def test_the_bundle_alone_is_used_again_without_dropping_a_version(
    state: StateFolder, learned: Learned
) -> None:
    add(state, learned)
    store = LearnedStore(state)

    with store.writing():
        store.use(None)

    assert (store.current, store.load(), store.versions) == (None, None, ["v0001"])


def test_a_version_that_is_not_there_cannot_be_used(state: StateFolder, learned: Learned) -> None:
    add(state, learned)

    with pytest.raises(StateError, match=r"no learned version 'v0009'; there are: v0001"):
        LearnedStore(state).use("v0009")


@pytest.mark.parametrize("name", ["site.json", "source.npz", "site.json.sha256"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_version_is_refused_with_the_way_back(
    state: StateFolder, learned: Learned, name: str, damage: str
) -> None:
    add(state, learned, 2)
    path = state.learned / "v0002" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    if damage == "remove":
        path.unlink()

    with pytest.raises(StateError, match=r"v0002 .* is damaged: .*--machine pump-3 --to v0001"):
        LearnedStore(state).load()


def reseal_site(folder: Path, text: bytes) -> None:
    (folder / "site.json").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    (folder / "site.json.sha256").write_text(f"{digest}\n")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("threshold", "threshold"), 1e308, "threshold"),
        (("threshold", "threshold"), 1e6, "contradicts the levels"),
        (("fusion", "terms", 0, "weight"), 0.1, "weights sum to 0.6"),
        (("promise",), {"wanted_per_month": 1e300}, "promise.wanted_per_month"),
        (("signal", "level_dbfs", "near"), 1e300, "signal.level_dbfs.near"),
        (("normal", "score_p05"), 1e8, "quantiles of scores are not in order"),
        (("enrolled", "source", "seconds"), 1e300, "seconds"),
    ],
)
def test_a_number_out_of_its_range_is_refused_though_the_digest_is_right(
    state: StateFolder, learned: Learned, place: tuple[str | int, ...], value: object, message: str
) -> None:
    add(state, learned)
    folder = state.learned / "v0001"
    site = json.loads((folder / "site.json").read_bytes())
    *path, last = place
    part = site
    for key in path:
        part = part[key]
    part[last] = value
    reseal_site(folder, json.dumps(site).encode())

    with pytest.raises(StateError, match=message) as caught:
        LearnedStore(state).load()

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"machine"', b'"like": "fan", "machine"', "'like' is there twice"),
        (b'"mean": 0.0', b'"mean": NaN', "NaN is not a number"),
    ],
)
def test_a_record_that_programs_read_differently_is_refused(
    state: StateFolder, learned: Learned, old: bytes, new: bytes, message: str
) -> None:
    add(state, learned)
    folder = state.learned / "v0001"
    text = json.dumps(json.loads((folder / "site.json").read_bytes())).encode()
    reseal_site(folder, text.replace(old, new, 1))

    with pytest.raises(StateError, match=message):
        LearnedStore(state).load()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rows/fkie@near", lambda rows: rows * 1.1),
        ("rows/fkie@near", lambda rows: rows[1:]),
        ("rows/fkie@near", lambda rows: rows * np.nan),
        ("scale/fkie@near", lambda scale: -scale),
        ("scale/fkie@far", lambda scale: scale * 1e300),
        ("offset/fkie@far", lambda offset: offset - np.inf),
        ("offset/fkie@far", lambda offset: offset[1:]),
        ("offset/fkie@far", lambda offset: offset * np.nan),
        ("offset/fkie@far", lambda offset: offset + np.inf),
        ("held_out/fkie@far", lambda scores: scores * 1e300),
        ("mean_db", lambda mean: mean[:, :1]),
        ("levels_dbfs", lambda levels: levels * np.nan),
        ("mean_db", None),
        ("scale/fkie@near", lambda scale: np.float64(1.0)),
        ("rows/fkie@near", lambda rows: np.float32(1.0)),
    ],
)
def test_sound_that_nobody_learned_is_refused_though_its_digests_are_right(
    state: StateFolder,
    learned: Learned,
    name: str,
    change: Callable[[NDArray[Any]], NDArray[Any]] | None,
) -> None:
    add(state, learned)
    folder = state.learned / "v0001"
    arrays = read_arrays(folder / "source.npz", "sound")
    found = arrays.pop(name)
    if change:
        arrays[name] = change(found)
    write_arrays(folder / "source.npz", arrays)
    site = json.loads((folder / "site.json").read_bytes())
    site["files"]["source.npz"] = FileEntry.of(folder / "source.npz").model_dump()
    reseal_site(folder, json.dumps(site).encode())

    with pytest.raises(StateError, match=r"source\.npz holds what nobody learned"):
        LearnedStore(state).load()


@pytest.mark.parametrize("pointer", ["", "v0009", "../v0001", "\xff"])
def test_a_pointer_to_nothing_is_an_error(
    state: StateFolder, learned: Learned, pointer: str
) -> None:
    add(state, learned)
    (state.learned / "current").write_text(pointer, encoding="latin-1")

    with pytest.raises(StateError, match="is damaged"):
        LearnedStore(state).load()


def test_a_failed_write_leaves_the_old_version_in_use(
    state: StateFolder, learned: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(state, learned)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "full")))

    with pytest.raises(StateError, match="nothing was changed"):
        add(state, learned)

    monkeypatch.undo()
    store = LearnedStore(state)
    assert (store.current, store.versions) == ("v0001", ["v0001"])
    assert [path.name for path in state.learned.glob(".v*")] == []


def test_what_lost_power_while_writing_is_cleared_away(
    state: StateFolder, learned: Learned
) -> None:
    add(state, learned)
    half = state.learned / ".v0002"
    half.mkdir()
    (half / "site.json").write_text("{")

    assert add(state, learned) == "v0002"
    assert not half.exists()


def test_two_commands_cannot_learn_at_once(state: StateFolder) -> None:
    with (
        LearnedStore(state).writing(),
        pytest.raises(StateError, match="another command is learning"),
        LearnedStore(state).writing(),
    ):
        pass


def test_an_enrolled_machine_opens_by_its_name(
    mini_bundle: Path, state: StateFolder, learned: Learned
) -> None:
    version = add(state, learned)

    opened = open_machine(Bundle.open(mini_bundle), "pump-3", state=state)

    assert opened.learned == version
    assert opened.detector.machine == "pump-3"
    assert opened.detector.spec.threshold == learned.site.threshold
    assert opened.reference is not None
    assert opened.normal is not None
    assert opened.spectra is not None
    assert len(opened.spectra.domains["source"]) == len(learned.enrolled["source"])


def test_a_machine_of_the_bundle_opens_without_state(mini_bundle: Path) -> None:
    opened = open_machine(Bundle.open(mini_bundle), None)

    assert (opened.detector.machine, opened.learned) == ("pump", None)


def test_an_unknown_machine_is_refused_with_all_that_are_known(
    mini_bundle: Path, tmp_path: Path, state: StateFolder, learned: Learned
) -> None:
    add(state, learned)

    with pytest.raises(UsageError, match=r"'fan'.*knows pump; learned on site: pump-3"):
        open_machine(Bundle.open(mini_bundle), "fan", state=StateFolder(tmp_path, "fan"))


def test_a_machine_whose_versions_are_not_in_use_is_refused_with_what_to_do(
    mini_bundle: Path, state: StateFolder, learned: Learned
) -> None:
    add(state, learned)
    LearnedStore(state).use(None)

    with pytest.raises(UsageError, match="forget --machine pump-3 --to VERSION"):
        open_machine(Bundle.open(mini_bundle), "pump-3", state=state)


def test_another_bundle_is_refused(
    mini_bundle: Path, tmp_path: Path, state: StateFolder, learned: Learned
) -> None:
    add(state, learned)
    other = shutil.copytree(mini_bundle, tmp_path / "other")
    edit_manifest(other, lambda manifest: manifest.update(name="maxi"))

    with pytest.raises(StateError, match=r"learned with bundle 'mini'.*'maxi'.*enrol again"):
        open_machine(Bundle.open(other), "pump-3", state=state)


def _without_a_branch(learned: Learned) -> Learned:
    sound = learned.enrolled["source"]
    rows = {branch: of for branch, of in sound.rows.items() if branch != "fkie@far"}
    return replace(learned, enrolled={"source": replace(sound, rows=rows)})


def _narrower(learned: Learned) -> Learned:
    sound = learned.enrolled["source"]
    half = {branch: of[..., : of.shape[-1] // 2] for branch, of in sound.rows.items()}
    rows = {b: of / np.linalg.norm(of, axis=-1, keepdims=True) for b, of in half.items()}
    return replace(learned, enrolled={"source": replace(sound, rows=rows)})


def _like_nobody(learned: Learned) -> Learned:
    return replace(learned, site=learned.site.model_copy(update={"like": "nobody"}))


@pytest.mark.parametrize("change", [_without_a_branch, _narrower, _like_nobody])
def test_what_does_not_fit_its_bundle_is_refused_though_its_digests_are_right(
    mini_bundle: Path,
    state: StateFolder,
    learned: Learned,
    change: Callable[[Learned], Learned],
) -> None:
    add(state, change(learned))

    with pytest.raises(StateError, match=r"what was learned of 'pump-3' is damaged"):
        open_machine(Bundle.open(mini_bundle), "pump-3", state=state)


def test_learned_states_skip_what_cannot_be_read(
    tmp_path: Path, state: StateFolder, learned: Learned
) -> None:
    add(state, learned, 2)
    (state.learned / "v0002" / "site.json").write_text("{}")
    (tmp_path / "empty" / "learned").mkdir(parents=True)

    assert [one.machine for one in learned_states(tmp_path)] == ["pump-3"]
