"""What a demo says it heard: alarms, what was missed, the picture and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_asd.clips.folder import AUDIO_FILE, PICTURE_FILE, event_path
from edge_asd.state.folder import StateFolder
from edge_asd_export.demo.outcome import HeardAlarm, Outcome, outcome_of
from edge_asd_export.demo.page import kept_alarms, write_page
from edge_asd_export.demo.picture import draw_outcome
from edge_asd_export.demo.plan import Planted

PLANTED = Planted()
FAN = "synthetic-fan"


def event(kind: str, stream_time_s: float, **content: Any) -> dict[str, Any]:
    return {"event": kind, "stream_time_s": stream_time_s, **content}


def raised(alarm_id: str, stream_time_s: float, text: str | None = None) -> dict[str, Any]:
    explanation = {"text": text} if text else None
    return event("alarm_raised", stream_time_s, alarm_id=alarm_id, explanation=explanation)


SCORES = (
    event("started", 0.0),
    event("score", 10.0, score=1.0, threshold=2.0),
    event("score", 75.0, score=1.75, threshold=2.0),
)
ALARMS = (
    raised("a", 85.0, "a tone at 3 kHz"),
    event("alarm_cleared", 132.5, alarm_id="a"),
    raised("b", 150.0),
    event("stopped", 180.0),
)


def test_alarms_have_their_times_and_the_last_may_still_be_on() -> None:
    outcome = outcome_of((*SCORES, *ALARMS), PLANTED)

    assert outcome.alarms == (
        HeardAlarm("a", 85.0, 132.5, "a tone at 3 kHz"),
        HeardAlarm("b", 150.0, None, ""),
    )
    assert outcome.heard == outcome.alarms[0]
    assert outcome.outside == outcome.alarms[1:]
    assert outcome.missed() is None


def test_a_missed_fault_is_told_with_what_was_heard_instead() -> None:
    early = (raised("a", 40.0), event("alarm_cleared", 55.0, alarm_id="a"))

    assert outcome_of((*SCORES, *early), PLANTED).missed() == (
        "synthetic fan, strong rubbing from 60 s to 120 s raised no alarm: the highest score was "
        "1.75 at 75 s, the threshold is 2.00; alarms while it was healthy: at 40 s"
    )


def test_the_picture_is_written_also_without_any_score(tmp_path: Path) -> None:
    draw_outcome(outcome_of((*SCORES, *ALARMS), PLANTED), tmp_path / "a.png")
    draw_outcome(outcome_of((), PLANTED), tmp_path / "b.png")

    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def page_of(outcome: Outcome, folder: Path) -> str:
    draw_outcome(outcome, folder / "stream.png")
    alarms = kept_alarms(outcome, folder / "state")
    write_page(folder / "demo.html", outcome, alarms, folder / "stream.png")
    return (folder / "demo.html").read_text()


def test_the_page_shows_the_alarm_with_its_words_picture_and_sound(tmp_path: Path) -> None:
    kept = event_path(StateFolder(tmp_path / "state", FAN).events, "a")
    kept.mkdir(parents=True)
    (kept / AUDIO_FILE).touch()
    (kept / PICTURE_FILE).write_bytes(b"picture")

    page = page_of(outcome_of((*SCORES, *ALARMS[:2]), PLANTED), tmp_path)

    assert "a tone at 3 kHz" in page
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in page
    assert f'src="state/{FAN}/events/a/{AUDIO_FILE}"' in page


def test_the_page_says_that_all_is_synthetic_and_that_no_alarm_was_raised(tmp_path: Path) -> None:
    page = page_of(outcome_of(SCORES, PLANTED), tmp_path)

    assert "Everything here is synthetic" in page
    assert "No alarm was raised" in page
