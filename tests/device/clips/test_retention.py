"""Room for events: sound goes first, then pictures, then JSON, and nothing in vain."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_asd.clips.folder import AUDIO_FILE, EVENT_FILE, PICTURE_FILE, event_path
from edge_asd.clips.order import by_age, note_arrival
from edge_asd.clips.retention import Retention

AUDIO, PICTURE, JSON = 1000, 100, 10
DAYS = ("21", "22", "23")
PLENTY = 10**9


def name(day: str) -> str:
    return f"pump-202611{day}T083005000Z"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Three alarms; the newest was written first."""
    for day in reversed(DAYS):
        folder = tmp_path / name(day)
        folder.mkdir()
        (folder / AUDIO_FILE).write_bytes(b"a" * AUDIO)
        (folder / PICTURE_FILE).write_bytes(b"p" * PICTURE)
        (folder / EVENT_FILE).write_bytes(b"j" * JSON)
    return tmp_path


def kept(events: Path) -> dict[str, int]:
    """Files of each alarm that is left, by day."""
    return {path.name[11:13]: len(list(path.iterdir())) for path in sorted(events.iterdir())}


class Disk:
    """As much room as is said, less what is in the folder."""

    def __init__(self, size: int) -> None:
        self.size = size

    def free(self, folder: Path) -> int:
        return self.size - sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def retention(
    events: Path, *, max_bytes: int = PLENTY, reserve: int = 0, disk: int = PLENTY
) -> Retention:
    return Retention(events, max_bytes=max_bytes, reserve_bytes=reserve, free=Disk(disk).free)


def test_nothing_is_removed_while_there_is_room(events: Path) -> None:
    assert retention(events).make_room(5000) is None

    assert kept(events) == {"21": 3, "22": 3, "23": 3}


@pytest.mark.parametrize(
    ("n_bytes", "expected"),
    [
        (10, {"21": 2, "22": 3, "23": 3}),
        (1001, {"21": 2, "22": 2, "23": 3}),
        (3000, {"21": 2, "22": 2, "23": 2}),
        (3001, {"21": 1, "22": 2, "23": 2}),
        (3300, {"21": 1, "22": 1, "23": 1}),
        (3301, {"22": 1, "23": 1}),
        (3330, {}),
    ],
)
def test_the_oldest_sound_goes_first_then_pictures_then_the_oldest_json(
    events: Path, n_bytes: int, expected: dict[str, int]
) -> None:
    full = 3 * (AUDIO + PICTURE + JSON)

    assert retention(events, max_bytes=full).make_room(n_bytes) is None

    assert kept(events) == expected


def test_the_order_in_which_alarms_came_counts_not_what_the_clock_said(events: Path) -> None:
    """The clock was a day behind when the second alarm came, and stood at 1970 at the third."""
    booted_in_1970 = "pump-19700101T000005000Z"
    (events / name("23")).rename(events / booted_in_1970)
    for alarm in (name("22"), name("21"), booted_in_1970):
        note_arrival(events, alarm)
    full = 3 * (AUDIO + PICTURE + JSON)

    assert retention(events, max_bytes=full).make_room(2 * AUDIO) is None

    left = {path.name: len(list(path.iterdir())) for path in events.iterdir() if path.is_dir()}
    assert left == {name("22"): 2, name("21"): 2, booted_in_1970: 3}
    assert by_age(events, left) == [name("22"), name("21"), booted_in_1970]


def test_alarms_of_an_earlier_version_are_the_oldest(events: Path) -> None:
    note_arrival(events, name("21"))

    assert by_age(events, map(name, DAYS)) == [name("22"), name("23"), name("21")]


def test_names_of_alarms_that_are_gone_are_forgotten(events: Path) -> None:
    note_arrival(events, "pump-20261120T083005000Z")
    note_arrival(events, name("21"))

    lines = (events / "order.txt").read_text().splitlines()
    assert lines == [name("21")]


def test_the_reserve_of_the_disk_is_left_free(events: Path) -> None:
    full = 3 * (AUDIO + PICTURE + JSON)
    disk = Disk(full + 700)
    bounds = Retention(events, max_bytes=PLENTY, reserve_bytes=500, free=disk.free)

    assert bounds.make_room(200) is None
    assert kept(events) == {"21": 3, "22": 3, "23": 3}
    assert bounds.make_room(201) is None
    assert kept(events) == {"21": 2, "22": 3, "23": 3}


def test_the_unfinished_event_is_never_removed(events: Path) -> None:
    full = 3 * (AUDIO + PICTURE + JSON)

    room = retention(events, max_bytes=full).make_room(2 * AUDIO, keep=events / name("21"))

    assert room is None
    assert kept(events) == {"21": 3, "22": 2, "23": 2}


def test_nothing_is_removed_in_vain(events: Path) -> None:
    reason = retention(events, reserve=500, disk=3500).make_room(3200)

    assert reason is not None and "stay free" in reason and "clips.reserve_bytes" in reason
    assert kept(events) == {"21": 3, "22": 3, "23": 3}


def test_an_event_larger_than_all_events_may_be_is_refused(events: Path) -> None:
    reason = retention(events, max_bytes=3500).make_room(4000)

    assert reason is not None and "clips.max_bytes" in reason
    assert kept(events) == {"21": 3, "22": 3, "23": 3}


def test_what_was_granted_counts_until_it_is_seen_on_the_disk(events: Path) -> None:
    full = 3 * (AUDIO + PICTURE + JSON)
    bounds = retention(events, max_bytes=full + 1000)

    for _ in range(10):
        assert bounds.make_room(100) is None
    assert kept(events)["21"] == 3
    (events / "x").write_bytes(b"x" * 1000)
    (events / "x").unlink()
    (events / name("23") / "more").write_bytes(b"x" * 1000)

    assert bounds.make_room(1) is None
    assert kept(events) == {"21": 2, "22": 3, "23": 4}


def test_folders_of_others_and_links_are_left_alone(events: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / AUDIO_FILE).write_bytes(b"a" * 5000)
    (events / name("01")).symlink_to(outside)
    (events / "lost+found").mkdir()
    (events / "lost+found" / AUDIO_FILE).write_bytes(b"a" * 10)

    assert retention(events, max_bytes=20).make_room(5) is None

    assert sorted(path.name for path in events.iterdir()) == ["lost+found", name("01")]
    assert (outside / AUDIO_FILE).exists()
    assert (events / "lost+found" / AUDIO_FILE).exists()


@pytest.mark.parametrize(
    "alarm_id",
    [
        *("..", ".", "", "../../etc/passwd", "/etc/passwd", "a/../../b", "-rf", "a\0b", "a\nb"),
        *("C:\\x", "x" * 500, "Pumpe Süd-20261122T083005000Z", ".hidden", "~root"),
    ],
)
def test_no_id_of_an_alarm_leads_out_of_the_folder(tmp_path: Path, alarm_id: str) -> None:
    path = event_path(tmp_path, alarm_id)

    path.mkdir()
    assert path.resolve().parent == tmp_path.resolve()


def test_the_folder_of_an_alarm_has_its_name(tmp_path: Path) -> None:
    alarm_id = "m" * 63 + "-20261122T083005000Z"

    assert event_path(tmp_path, alarm_id) == tmp_path / alarm_id
