"""The table of checks, and the page that it gives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from edge_asd.doctor import bundle, monitors, processor, reach, software, sound, storage
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, problem

__all__ = ["CHECKS", "examine", "to_dict"]

_log = logging.getLogger(__name__)


Check = Callable[[Installation], Iterable[Verdict]]

CHECKS: Sequence[tuple[str, Check]] = (
    ("software", software.system),
    ("software", software.versions),
    ("software", software.libraries),
    ("processor", processor.cores),
    ("processor", processor.temperatures),
    ("processor", processor.memory_left),
    ("time", software.clock),
    ("storage", storage.disk),
    ("sound", sound.sound_card),
    ("bundle", bundle.bundle),
    ("outputs", reach.outputs),
    ("monitors", monitors.monitors),
    ("monitors", monitors.services),
)


def examine(
    installation: Installation, checks: Sequence[tuple[str, Check]] = CHECKS
) -> Iterator[tuple[str, Verdict]]:
    """Return every verdict with its group, as soon as it is known.

    A check that fails is a problem of its own.
    """
    for group, check in checks:
        try:
            for verdict in check(installation):
                yield group, verdict
        except Exception as error:  # the other checks still have something to say
            _log.debug("check %s failed", check.__name__, exc_info=True)
            found = f"the check failed: {type(error).__name__}: {error}"
            advice = "report it: edge-asd doctor --archive support.tar.gz"
            yield group, problem(check.__name__, found, advice)


def to_dict(verdicts: Sequence[tuple[str, Verdict]]) -> dict[str, Any]:
    """Return the page as JSON knows it, the summary first."""
    states = [verdict.state for _, verdict in verdicts]
    return {
        "healthy": "problem" not in states,
        "problems": states.count("problem"),
        "warnings": states.count("warning"),
        "findings": [{"group": group, **asdict(verdict)} for group, verdict in verdicts],
    }
