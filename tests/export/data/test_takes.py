from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import Inventory, scan
from edge_asd_export.data.takes import divisible, takes_of

RATE_HZ = 16_000
N_CLIPS = 4


@pytest.fixture
def fan(tmp_path: Path) -> Path:
    """Two recordings of 6 s, each cut into two clips of 4 s."""
    rng = np.random.default_rng(0)
    days = 0.1 * rng.standard_normal((2, 6 * RATE_HZ, 2))
    for i in range(N_CLIPS):
        start = 2 * RATE_HZ * (i % 2)
        write(tmp_path / "fan", i, days[i // 2, start : start + 4 * RATE_HZ])
    return tmp_path / "fan"


def clip(i: int) -> str:
    return f"section_00_source_train_normal_{i:04d}.wav"


def write(machine: Path, i: int, audio: np.ndarray) -> None:
    path = machine / "train" / clip(i)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE_HZ)


def found(machine: Path, file: Path | None = None, say: list[str] | None = None) -> list[str]:
    """The takes of the clips in the order of their names."""
    said: list[str] = [] if say is None else say
    takes = takes_of(inventory(machine).machines, file=file, say=said.append)
    return [takes[clip] for clip in sorted(takes, key=lambda clip: clip.path)]


def inventory(machine: Path) -> Inventory:
    return scan([machine], read_samples=False)


def test_takes_are_found_and_written_beside_the_clips(fan: Path) -> None:
    said: list[str] = []

    assert found(fan, say=said) == ["1", "1", "2", "2"]

    rows = (fan / "takes.csv").read_text().splitlines()
    assert rows[:2] == ["file,take", f"{clip(0)},1"]
    assert said == []


def test_takes_that_are_written_are_obeyed(fan: Path) -> None:
    names = "abca"
    rows = [f"{clip(i)},{name}\n" for i, name in enumerate(names)]
    (fan / "takes.csv").write_text("file,take\n" + "".join(rows))
    said: list[str] = []

    assert found(fan, say=said) == list(names)
    assert said == []


def test_a_clip_that_is_not_named_joins_the_take_it_shares_sound_with(fan: Path) -> None:
    table = fan / "takes.csv"
    table.write_text("file,take\n" + f"{clip(1)},monday\n{clip(2)},tuesday\n")
    write(fan, N_CLIPS, 0.1 * np.random.default_rng(1).standard_normal((4 * RATE_HZ, 2)))
    said: list[str] = []

    takes = found(fan, say=said)

    assert takes == ["monday", "monday", "tuesday", "tuesday", "1"]
    assert takes == found(fan)
    assert said[0] == f"{table} does not name 3 of 5 clips: compared with all others"


def test_rows_of_clips_that_are_gone_are_told(fan: Path) -> None:
    found(fan)
    (fan / "train" / clip(3)).unlink()
    said: list[str] = []

    assert found(fan, say=said) == ["1", "1", "2"]
    (line,) = said
    assert f"names 1 clips that are not used, {clip(3)}" in line


def test_a_folder_that_cannot_be_written_to_is_told_once(fan: Path) -> None:
    fan.chmod(0o555)
    said: list[str] = []

    assert found(fan, say=said) == ["1", "1", "2", "2"]

    fan.chmod(0o755)
    assert sum("read-only" in line for line in said) == 1
    assert not (fan / "takes.csv").exists()


def test_a_file_that_is_given_wins(fan: Path, tmp_path: Path) -> None:
    found(fan)
    table = tmp_path / "mine.csv"
    rows = [f"fan/train/{clip(i)},day {i}\n" for i in range(N_CLIPS)]
    table.write_text("file,take\n" + "".join(rows))

    assert found(fan, table) == ["day 0", "day 1", "day 2", "day 3"]


@pytest.mark.parametrize("path", ["/data/{}/train/{}", "data\\{}\\train\\{}", "{}/{}"])
def test_a_given_file_tells_machines_with_the_same_names_apart(
    fan: Path, tmp_path: Path, path: str
) -> None:
    shutil.copytree(fan, tmp_path / "pump")
    table = tmp_path / "mine.csv"
    rows = [f"{path.format(m, clip(i))},{m} {i}\n" for m in ("fan", "pump") for i in range(N_CLIPS)]
    table.write_text("file,take\n" + "".join(rows))

    takes = takes_of(scan([tmp_path], read_samples=False).machines, file=table)

    assert {clip.machine for clip in takes} == {"fan", "pump"}
    assert all(take == f"{clip.machine} {clip.index}" for clip, take in takes.items())


def test_a_given_file_names_one_take_of_a_clip(fan: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"file,take\nfan/{clip(0)},1\nfan/train/{clip(0)},2\n")

    with pytest.raises(DataError, match="belongs to two takes"):
        found(fan, table)


@pytest.mark.parametrize("name", [".", "/", "a/.."])
def test_a_given_file_that_names_no_file_is_refused(fan: Path, tmp_path: Path, name: str) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"file,take\n{name},1\n")

    with pytest.raises(UsageError, match="names no take"):
        found(fan, table)


def test_a_given_file_must_name_every_clip(fan: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"file,take\n{clip(0)},1\n")

    with pytest.raises(UsageError, match=r"names no take for .*0001\.wav; name all"):
        found(fan, table)
    with pytest.raises(UsageError, match="no such file"):
        found(fan, tmp_path / "none.csv")


def test_the_only_take_of_a_domain_is_divided_into_parts_that_follow_each_other(fan: Path) -> None:
    machines = inventory(fan).machines

    divided = divisible(machines, dict.fromkeys(machines["fan"].train, "day"))

    assert list(divided.values()) == ["day, part 1", "day, part 2", "day, part 3", "day, part 4"]


def test_takes_that_are_several_are_not_divided(fan: Path) -> None:
    machines = inventory(fan).machines
    takes = takes_of(machines)

    assert divisible(machines, takes) == takes


def test_no_take_has_more_than_a_fifth_of_a_domain(tmp_path: Path) -> None:
    day = 0.1 * np.random.default_rng(0).standard_normal((14 * RATE_HZ, 2))
    for i in range(11):
        write(tmp_path / "fan", i, day[i * RATE_HZ : (i + 4) * RATE_HZ])

    said: list[str] = []
    takes = found(tmp_path / "fan", say=said)

    assert max(takes.count(take) for take in takes) <= 3
    assert "fan: so many clips share sound that takes are cut where they share least" in said[0]


def test_progress_reaches_all_pairs(fan: Path) -> None:
    steps: list[tuple[int, int]] = []

    takes_of(inventory(fan).machines, progress=lambda done, total: steps.append((done, total)))

    assert steps == [(1, 10), (3, 10), (6, 10), (10, 10)]
