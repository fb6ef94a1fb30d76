"""The challenge's CSV files, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_asd.errors import DataError
from edge_asd_export.evaluation.challenge_csv import Truth, read_ground_truth, write_challenge_csv

NAME = "ground_truth_fan_section_00_test.csv"


def ground_truth(folder: Path, data: str, domain: str) -> Path:
    for kind, text in (("data", data), ("domain", domain)):
        (folder / f"ground_truth_{kind}").mkdir()
        (folder / f"ground_truth_{kind}" / NAME).write_text(text)
    return folder


def test_scores_and_decisions_have_no_header_and_the_evaluators_names(tmp_path: Path) -> None:
    clips = ["section_00_0000", "section_00_0001"]

    write_challenge_csv(tmp_path, "fan", "00", clips, np.array([0.1 + 0.2, 2.0]), 1.0)

    scores = (tmp_path / "anomaly_score_fan_section_00_test.csv").read_bytes()
    decisions = (tmp_path / "decision_result_fan_section_00_test.csv").read_bytes()
    assert scores == b"section_00_0000.wav,0.30000000000000004\nsection_00_0001.wav,2.0\n"
    assert decisions == b"section_00_0000.wav,0\nsection_00_0001.wav,1\n"


def test_a_score_at_the_threshold_is_no_alarm(tmp_path: Path) -> None:
    above = np.nextafter(1.0, 2.0)

    _, decisions = write_challenge_csv(tmp_path, "fan", "00", ["a", "b"], [1.0, above], 1.0)

    assert decisions.read_text() == "a.wav,0\nb.wav,1\n"


def test_ground_truth_is_read_by_name_whatever_its_order(tmp_path: Path) -> None:
    folder = ground_truth(tmp_path, "b.wav,1\na.wav,0\n", "a.wav,1\nb.wav,0\n")

    truth = read_ground_truth(folder, "fan", "00")

    assert truth == {"a": Truth(False, True), "b": Truth(True, False)}


@pytest.mark.parametrize(
    ("data", "domain", "message"),
    [
        ("a.wav,2\n", "a.wav,0\n", "row 1 is 'a.wav,2'"),
        ("a.wav\n", "a.wav,0\n", "row 1 is 'a.wav'"),
        ("a.wav,0\na.wav,1\n", "a.wav,0\n", "row 2 names 'a' a second time"),
        ("a.wav,0\nb.wav,1\n", "a.wav,0\n", "'b' is not in both"),
    ],
)
def test_damaged_ground_truth_is_refused_with_its_place(
    tmp_path: Path, data: str, domain: str, message: str
) -> None:
    folder = ground_truth(tmp_path, data, domain)

    with pytest.raises(DataError, match=message):
        read_ground_truth(folder, "fan", "00")


def test_missing_ground_truth_names_the_file_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=NAME):
        read_ground_truth(tmp_path, "fan", "00")
