"""The report of a comparison: every table in every form, and caveats that go with figures."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from export.comparison_fakes import comparison_report, scored_bundle
from rich.console import Console

from edge_asd.errors import UsageError
from edge_asd_export.evaluation.published import CAVEAT, published_beside
from edge_asd_export.evaluation.report import ComparisonReport, print_report, write_report
from edge_asd_export.evaluation.report.rendering import render
from edge_asd_export.table import Row, Table

HOSTILE = "a_b <i> & 50 % | $x$"
SEVEN = ("bearingEmu", "fan", "gearboxEmu", "sliderEmu", "ToyCar", "ToyCarEmu", "valveEmu")
FILES = {
    "ablations.csv",
    "differences.csv",
    "machines.png",
    "official.png",
    "report.html",
    "results.json",
    "table2.csv",
    "table3.csv",
    "tables.md",
    "tables.tex",
}
TEXTS = ("tables.md", "tables.tex", "report.html", "results.json", "table2.csv", "table3.csv")


@pytest.fixture(scope="module")
def report() -> ComparisonReport:
    """Two seeds of system3 and a system1 of other precision, on the published machines."""
    mini = {"beats": "beats-mini"}
    return comparison_report(
        scored_bundle("seed0", machines=SEVEN, networks=mini),
        scored_bundle("seed1", machines=SEVEN, networks=mini, seed=1),
        scored_bundle(HOSTILE, "system1", machines=SEVEN, precisions={"beats": "fp32"}),
        beside=published_beside(SEVEN),
        repeated=True,
    )


@pytest.fixture(scope="module")
def plain() -> ComparisonReport:
    """One bundle, on machines that were not published."""
    return comparison_report(scored_bundle(system="system4"))


@pytest.fixture(scope="module")
def folder(report: ComparisonReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "compare"
    write_report(report, folder)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def printed(report: ComparisonReport, width: int = 200) -> str:
    text = io.StringIO()
    print_report(report, Console(file=text, width=width))
    return text.getvalue()


def test_the_report_has_a_file_for_everything(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES


@pytest.mark.parametrize("name", TEXTS)
def test_no_published_figure_stands_without_the_caveat(folder: Path, name: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")

    assert "comparable only when" in text
    assert re.search(r"64\.67|71\.40?\b", text)


def test_the_terminal_says_the_caveat_above_each_table_with_published_figures(
    report: ComparisonReport,
) -> None:
    text = " ".join(printed(report).split())

    assert text.count(CAVEAT) == 3  # both tables and the notes
    assert text.index(CAVEAT) < text.index("64.67")


def test_stated_and_recomputed_totals_of_every_publication_are_shown(folder: Path) -> None:
    by_system = {row["system"]: row for row in rows_of(folder / "table2.csv")}

    assert by_system["system2"]["published_stated_percent"] == "61.55"
    assert by_system["system2"]["published_from_its_rows_percent"] == "62.34"


def test_without_published_figures_there_is_no_trace_of_them(
    plain: ComparisonReport, tmp_path: Path
) -> None:
    write_report(plain, tmp_path / "plain")

    assert "64.67" not in printed(plain)
    assert "published" not in (tmp_path / "plain" / "table2.csv").read_text()
    assert json.loads((tmp_path / "plain" / "results.json").read_text())["published"] == {
        "shown": False,
        "note": None,
        "systems": [],
    }


def test_tables_say_what_was_trained(report: ComparisonReport, folder: Path) -> None:
    assert "beats-mini, fkie, resnet" in printed(report)
    assert {row["networks"] for row in rows_of(folder / "table3.csv")} >= {"beats-mini, fkie"}


def test_means_over_bundles_stand_below_the_bundles(report: ComparisonReport, folder: Path) -> None:
    rows = rows_of(folder / "table2.csv")
    means = [row for row in rows if row["n_bundles"] != "1"]

    # Of the systems 4, the one in the float32 bundle is int8 and the third of its kind.
    assert [row["n_bundles"] for row in means] == ["2", "2", "2", "3"]
    assert means[0]["bundle"] == "mean of seed0, seed1"
    assert means[0]["std_over"] == "bundles"
    assert "mean of 3" in printed(report)


def test_without_asking_there_are_no_means() -> None:
    alike = (scored_bundle("a", "system4"), scored_bundle("b", "system4", seed=1))

    assert "mean of 2" not in printed(comparison_report(*alike))


def test_csv_files_hold_unrounded_figures(report: ComparisonReport, folder: Path) -> None:
    first = report.comparison.rows[0]

    official = rows_of(folder / "table2.csv")[0]
    machine = rows_of(folder / "table3.csv")[0]
    differences = rows_of(folder / "differences.csv")

    assert float(official["official"]) == first.official.score
    assert float(machine["pauc"]) == first.figures["bearingEmu"].metrics.pauc
    n_rows = len(report.comparison.rows)
    assert len(differences) == n_rows * (n_rows - 1) / 2
    assert {row["machine"] for row in rows_of(folder / "ablations.csv")} == {"all", *SEVEN}


def test_json_holds_the_rows_of_the_csv_files(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))

    assert len(results["systems"]) == len(rows_of(folder / "table2.csv"))
    assert len(results["ablations"]) == len(rows_of(folder / "ablations.csv"))
    assert results["bundles"]["seed0"]["system"] == "system3"
    assert len(results["published"]["systems"]) == 8


def test_the_page_needs_no_network_and_no_scripts_and_escapes_names(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")

    assert len(re.findall(r'src="data:image/png;base64,iVBOR', page)) == page.count("src=") == 2
    assert not re.search(r"https?://|@import|url\(|<script|<i>", page)
    assert "a_b &lt;i&gt; &amp; 50 % | $x$" in page


def test_the_page_tells_notes_before_figures(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")

    assert page.index("Machine &#39;saw&#39; is left out") < page.index("<table>")


def test_many_systems_have_no_square_of_differences_on_a_terminal() -> None:
    bundles = [scored_bundle(str(i), "system2", machines=("fan",)) for i in range(8)]
    few, many = comparison_report(*bundles[:7]), comparison_report(*bundles)

    assert "minus that of the column" in printed(few, 400)
    assert "minus that of the column" not in printed(many, 400)


def test_a_single_system_is_compared_with_nothing() -> None:
    text = printed(comparison_report(scored_bundle(system="system2")))

    assert "minus best" not in text
    assert "models and microphones" not in text
    assert "system2" in text


def test_weights_chosen_with_labels_are_told_even_when_they_are_nested() -> None:
    bundle = scored_bundle("tuned", "system1")
    machines = {}
    for name, spec in bundle.manifest.machines.items():
        first, second = spec.fusion.terms
        tuned = first.model_copy(update={"of": first.of.model_copy(update={"labels": "dev"})})  # type: ignore[union-attr]
        fusion = spec.fusion.model_copy(update={"terms": (tuned, second)})
        machines[name] = spec.model_copy(update={"fusion": fusion})
    object.__setattr__(
        bundle, "manifest", bundle.manifest.model_copy(update={"machines": machines})
    )

    text = printed(comparison_report(bundle))

    assert "the weights of system1 of tuned were chosen with labels (dev)" in text


def test_a_folder_with_other_files_is_never_replaced(
    plain: ComparisonReport, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(UsageError, match="exists and has no"):
        write_report(plain, tmp_path)


def hostile_table() -> Table:
    rows = ({"name": HOSTILE, "score ± sd": "−1.00 ± 0.50"}, {"name": "mean", "score ± sd": "2"})
    return Table(
        "names",
        "All & sundry",
        ([Row(rows[0])], [Row(rows[1], strong=True)]),
        ("name",),
        "In 100 %.",
        "not <comparable>",
    )


def test_latex_is_escaped_and_set_with_rules_of_booktabs() -> None:
    text = render("tables.tex", [hostile_table()])

    assert (
        r"a\_b \textless{}i\textgreater{} \& 50 \% \textbar{} \$x\$ & $-$1.00 $\pm$ 0.50 \\" in text
    )
    assert r"\begin{tabular}{lr}" in text
    assert r"\textbf{mean} & \textbf{2} \\" in text
    assert (
        r"\caption{All \& sundry. \textbf{Note: not \textless{}comparable\textgreater{}.}" in text
    )
    assert [text.count(rule) for rule in ("toprule", "midrule", "bottomrule")] == [1, 2, 1]


def test_markdown_has_one_line_per_row_and_escaped_bars() -> None:
    lines = render("tables.md", [hostile_table()]).splitlines()

    table = [line for line in lines if line.startswith("|")]
    assert table[1] == "| --- | ---: |"
    assert table[2] == r"| a\_b \<i\> \& 50 % \| $x$ | −1.00 ± 0.50 |"
    assert table[3] == "| **mean** | **2** |"
    assert lines[2] == r"> **Note:** not \<comparable\>."
