"""Golden windows at the start of ``listen``: whether this computer gives the bundle's scores.

A new ONNX Runtime, a bad memory chip or a board of another kind changes scores without a word.
The monitor runs all the same, since an alarm may still be right, but nothing is called normal.
"""

from __future__ import annotations

from dataclasses import replace

from edge_asd.bundle import golden
from edge_asd.bundle.agreement import require
from edge_asd.bundle.bundle import Bundle
from edge_asd.errors import EdgeAsdError, one_line
from edge_asd.events.fault import Report, noticed
from edge_asd.learn.opened_machine import OpenedMachine

__all__ = ["MOST_S", "replay_golden_windows"]

MOST_S = 5.0  # that the start is delayed; one window, where that takes longer


def replay_golden_windows(bundle: Bundle, opened: OpenedMachine, report: Report) -> None:
    """Replay as many golden windows of a machine as `MOST_S` allows; report the fault ``scores``.

    Of a machine with references of its own the embeddings are compared.
    """
    manifest, like = bundle.manifest, opened.like
    try:
        agreement = golden.compare(
            opened.detector,
            golden.read_golden(bundle.path, manifest, like),
            like=like if opened.own_references else None,
            most_s=MOST_S,
        )
        if agreement.at_a_reference:  # in bundles of old, whose scores there say nothing
            agreement = replace(agreement, max_score_difference=0.0)
        require(agreement, manifest)
    except EdgeAsdError as error:
        report(noticed("scores", one_line(error)))
