"""The table of checks, and the page that comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_asd.doctor import (
    model,
    monitors,
    processor,
    reach,
    software,
    sound,
    storage,
    time_of_day,
)
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, problem

__all__ = ["CHECKS", "Check", "Finding", "examine", "to_dict"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """A question or some that belong together."""

    group: str
    ask: Callable[[Installation], Iterable[Verdict]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and where it stands on the page."""

    group: str
    verdict: Verdict


CHECKS: Sequence[Check] = (
    Check("software", software.system),
    Check("software", software.versions),
    Check("software", software.libraries),
    Check("processor", processor.cores),
    Check("processor", processor.temperatures),
    Check("processor", processor.memory_left),
    Check("time", time_of_day.clock),
    Check("storage", storage.disk),
    Check("sound", sound.sound_card),
    Check("bundle", model.bundle),
    Check("outputs", reach.outputs),
    Check("monitors", monitors.monitors),
    Check("monitors", monitors.services),
)


def examine(installation: Installation, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Every finding, as soon as it is there; a check that fails is a problem of its own."""
    for check in checks:
        try:
            for verdict in check.ask(installation):
                yield Finding(check.group, verdict)
        except Exception as error:  # the other checks still have something to say
            _log.debug("check %s failed", check.ask.__name__, exc_info=True)
            found = f"the check failed: {type(error).__name__}: {error}"
            advice = "report it: edge-asd doctor --archive support.tar.gz"
            yield Finding(check.group, problem(check.ask.__name__, found, advice))


def to_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything as JSON knows it, the verdict first."""
    states = [finding.verdict.state for finding in findings]
    return {
        "healthy": "problem" not in states,
        "problems": states.count("problem"),
        "warnings": states.count("warning"),
        "findings": [{"group": f.group, **asdict(f.verdict)} for f in findings],
    }
