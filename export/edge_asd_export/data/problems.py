"""What is wrong with recordings: problems, which stop a training, and findings, which do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_asd.errors import DataError

__all__ = ["ClipFinding", "Problem", "finding_lines", "require_clean"]

MAX_LISTED = 20


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A file or folder that cannot be used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True, order=True)
class ClipFinding:
    """What is wrong with the sound of a clip that can be read."""

    path: Path
    text: str
    excluded: bool  # from training, and from all that is made of training clips

    def __str__(self) -> str:
        return f"{self.path}: {'excluded' if self.excluded else 'warning'}: {self.text}"


def require_clean(problems: Sequence[Problem]) -> None:
    """Nothing when there are no problems.

    Raises
    ------
    DataError
        With one summary line, then one line per problem.
    """
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the recordings; repair, move away or delete these and try again:"]
    raise DataError("\n  ".join([*lines, *_listed(problems)]))


def finding_lines(findings: Sequence[ClipFinding]) -> Iterator[str]:
    """What `train` and `export` say of the clips that they leave out, or doubt."""
    excluded = [finding for finding in findings if finding.excluded]
    if excluded:
        n_clips = len({finding.path for finding in excluded})
        yield f"{n_clips} train clip{'s are' if n_clips > 1 else ' is'} excluded:"
    yield from _listed(excluded)
    yield from _listed([finding for finding in findings if not finding.excluded])


def _listed(items: Sequence[object]) -> Iterator[str]:
    yield from map(str, items[:MAX_LISTED])
    if len(items) > MAX_LISTED:
        yield f"and {len(items) - MAX_LISTED} more"
