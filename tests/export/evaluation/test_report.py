"""The report folder: complete or absent, self-contained, and honest about its figures."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from export.evaluation_fakes import make_report
from rich.console import Console

from edge_asd.errors import DataError, UsageError
from edge_asd_export.evaluation import report as report_package
from edge_asd_export.evaluation.evaluate import FUSED
from edge_asd_export.evaluation.published import CAVEAT
from edge_asd_export.evaluation.report import (
    EvaluationReport,
    print_report,
    require_replaceable,
    write_report,
)

HOSTILE = "fan <script> & $x$"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Resources, text and nesting of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return make_report(("fan", HOSTILE, "ToyCar"), anonymous=("ToyCar",), labels="dev")


@pytest.fixture(scope="module")
def folder(report: EvaluationReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "latest"
    write_report(report, folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def printed(report: EvaluationReport) -> str:
    text = io.StringIO()
    print_report(report, Console(file=text))
    return text.getvalue()


def test_the_report_has_a_file_for_everything(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "results.csv",
        "results.json",
        "overview.png",
        *(f"distribution_{machine}.png" for machine in ("fan", HOSTILE, "ToyCar")),
        *(f"roc_{machine}.png" for machine in ("fan", HOSTILE)),
        *(
            f"{kind}_{machine}_section_00_test.csv"
            for kind in ("anomaly_score", "decision_result")
            for machine in ("fan", HOSTILE, "ToyCar")
        ),
    }


def test_the_page_needs_no_network_and_no_scripts(folder: Path, page: Page) -> None:
    assert len(page.sources) == 6
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in page.sources)
    assert "script" not in page.tags
    assert "link" not in page.tags
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_page_is_nested_well_and_escapes_names(page: Page) -> None:
    assert page.open == []
    assert HOSTILE in page.text


@pytest.mark.parametrize(
    "fact",
    [
        "hall-3",
        "system4",
        "fkie: fkie, int8",
        "arm64",
        "empirical quantile",
        "from\n      1000 normal scores",
        "recordings",
        "2026-11-22T12:00:00+00:00",
        "edge-asd 0.1.0",
        "torch 2.13.0",
    ],
)
def test_the_page_states_the_facts_of_the_bundle(page: Page, fact: str) -> None:
    assert fact in page.text


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ({"kind": "dldn", "aggregate": "sum"}, "sum"),
        ({"kind": "nearest", "average": "scores"}, "nearest, scores"),
        ({"kind": "varmin"}, "fkie@near: varmin"),
    ],
)
def test_the_page_says_how_branches_are_scored(
    scorer: dict[str, object], said: str, tmp_path: Path
) -> None:
    write_report(make_report(scorer=scorer), tmp_path / "report")

    assert said in Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8")).text


def test_every_place_says_when_published_figures_compare(
    report: EvaluationReport, folder: Path, page: Page
) -> None:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))

    assert CAVEAT in " ".join(printed(report).split())
    assert CAVEAT[1:] in page.text
    assert results["published"]["caveat"] == CAVEAT
    assert "63.68/48.84/53.63" in printed(report)
    assert "63.68/48.84/53.63" in page.text


def test_machines_unknown_to_the_publication_bring_no_published_figures() -> None:
    assert "Published" not in printed(make_report(("pump",)))


def test_stated_and_recomputed_totals_are_both_shown(report: EvaluationReport) -> None:
    lines = printed(report).splitlines()

    stated = next(line for line in lines if "total, as stated" in line)
    recomputed = next(line for line in lines if "from its rows" in line)
    assert stated.split()[-4:] == ["64.67", "61.55", "65.86", "62.96"]
    assert recomputed.split()[-4:] == ["64.67", "62.34", "65.63", "62.96"]


def test_notes_tell_of_skipped_machines_and_of_weights_chosen_with_labels(
    report: EvaluationReport,
) -> None:
    text = printed(report)

    assert "machine 'ToyCar' has scores but no metrics: the clips are anonymous" in text
    assert "the weights of system4 of hall-3 were chosen with labels (dev)" in text
    assert "were chosen with labels" not in printed(make_report())


def test_machines_that_are_skipped_for_one_reason_share_a_note() -> None:
    text = printed(make_report(("fan", "pump", "valve"), anonymous=("pump", "valve")))

    assert "machines 'pump', 'valve' have scores but no metrics" in " ".join(text.split())


def test_results_hold_unrounded_figures_of_every_kind_of_score(
    report: EvaluationReport, folder: Path
) -> None:
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {(row["machine"], row["scores"]): row for row in csv.DictReader(file)}
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))

    metrics = report.evaluation.machines[0].figures["fkie@far"].metrics
    assert set(rows) == {(m, s) for m in ("fan", HOSTILE) for s in (FUSED, "fkie@near", "fkie@far")}
    assert float(rows["fan", "fkie@far"]["pauc"]) == metrics.pauc
    assert results["machines"]["fan"]["figures"]["fkie@far"]["pauc"] == metrics.pauc
    assert results["official"][FUSED]["score"] == report.evaluation.official[FUSED].score
    assert results["official_machines"] == ["fan", HOSTILE]


def test_a_report_without_any_labels_still_has_scores_and_a_page(tmp_path: Path) -> None:
    anonymous = make_report(("fan",), anonymous=("fan",))

    write_report(anonymous, tmp_path / "report")

    page = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert len(page.sources) == 1
    assert "official score" not in printed(anonymous)
    assert (tmp_path / "report" / "decision_result_fan_section_00_test.csv").is_file()


def test_a_report_replaces_an_earlier_one_whole(tmp_path: Path) -> None:
    write_report(make_report(("pump",)), tmp_path / "report")

    write_report(make_report(("fan",)), tmp_path / "report")

    assert not list((tmp_path / "report").glob("*pump*"))
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_leaves_the_earlier_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(make_report(("fan",)), tmp_path / "report")
    before = (tmp_path / "report" / "results.json").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(report_package, "render", fail)
    with pytest.raises(DataError, match="No space left"):
        write_report(replace(make_report(("fan",)), created_utc="later"), tmp_path / "report")

    assert (tmp_path / "report" / "results.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(UsageError, match="is not a report"):
        require_replaceable(tmp_path)


def test_an_empty_folder_may_become_a_report(tmp_path: Path) -> None:
    write_report(make_report(), tmp_path)

    assert (tmp_path / "report.html").is_file()


def test_false_alarms_and_hits_at_stated_rates_are_in_table_page_csv_and_json(
    tmp_path: Path,
) -> None:
    report = make_report(("fan", "pump"), levels={0.01: 2.0, 0.05: 1.4, 0.1: 1.2})

    write_report(report, tmp_path / "report")

    content = json.loads((tmp_path / "report" / "results.json").read_text())
    assert list(content["stated"]) == ["0.01", "0.05", "0.1"]
    each = [one["stated"]["0.05"]["recall"] for one in content["machines"].values()]
    assert content["stated"]["0.05"]["recall"] == pytest.approx(sum(each) / 2)
    assert "stated 5%" in (tmp_path / "report" / "report.html").read_text()
    (first, *_) = csv.DictReader(io.StringIO((tmp_path / "report" / "results.csv").read_text()))
    assert float(first["recall_at_0.05"]) == pytest.approx(each[0])
    printed = Console(file=io.StringIO(), width=200, record=True)
    print_report(report, printed)
    assert "False alarms/hits" in printed.export_text()
