"""The challenge's CSV files: anomaly scores and decisions out, ground truth in.

None has a header. Every row is ``<clip>.wav,<value>``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_asd.errors import DataError

__all__ = ["Truth", "read_ground_truth", "write_challenge_csv"]

_FLAGS = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Truth:
    """What the organisers know of one anonymous clip."""

    is_anomaly: bool
    is_target: bool


def write_challenge_csv(
    folder: Path,
    machine: str,
    section: str,
    clips: Sequence[str],
    scores: Iterable[float],
    threshold: float,
) -> tuple[Path, Path]:
    """The anomaly-score file and the decision file of one machine and section.

    Parameters
    ----------
    clips
        File names without suffix. The rows say ``.wav`` for FLAC copies too: these are the
        names that the official evaluator knows.
    scores
        Written so that they read back exactly.
    threshold
        The decision is 1 when the score is strictly above it.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    values = [float(score) for score in scores]
    suffix = f"{machine}_section_{section}_test.csv"
    score_path = folder / f"anomaly_score_{suffix}"
    decision_path = folder / f"decision_result_{suffix}"
    names = [f"{clip}.wav" for clip in clips]
    _write(score_path, zip(names, values, strict=True))
    _write(decision_path, zip(names, [int(value > threshold) for value in values], strict=True))
    return score_path, decision_path


def read_ground_truth(folder: Path, machine: str, section: str) -> Mapping[str, Truth]:
    """Labels and domains of the anonymous clips of one machine, by name without suffix.

    Parameters
    ----------
    folder
        Holds ``ground_truth_data`` (1 is an anomaly) and ``ground_truth_domain`` (1 is the
        target domain), as in the official evaluator's repository.

    Raises
    ------
    DataError
        When a file is missing or has another format, or the two do not name the same clips.
    """
    name = f"ground_truth_{machine}_section_{section}_test.csv"
    labels = _read_flags(folder / "ground_truth_data" / name)
    domains = _read_flags(folder / "ground_truth_domain" / name)
    if labels.keys() != domains.keys():
        odd = min(labels.keys() ^ domains.keys())
        raise DataError(
            f"ground truth of {machine} in {folder}: clip {odd!r} is not in both "
            f"ground_truth_data and ground_truth_domain"
        )
    return {clip: Truth(labels[clip], domains[clip]) for clip in labels}


def _write(path: Path, rows: Iterable[tuple[str, float | int]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _read_flags(path: Path) -> dict[str, bool]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise DataError(
            f"no ground truth at {path}; expected the folders ground_truth_data and "
            "ground_truth_domain of the official evaluator"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file: {error}") from error
    flags: dict[str, bool] = {}
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or row[1].strip() not in _FLAGS:
            raise DataError(f"{path} row {number} is {','.join(row)!r}; expected 'name.wav,0' or 1")
        clip = Path(row[0].strip()).stem
        if clip in flags:
            raise DataError(f"{path} row {number} names {clip!r} a second time")
        flags[clip] = _FLAGS[row[1].strip()]
    return flags
