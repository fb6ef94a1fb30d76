"""Whether something listens where an output is sent to."""

from __future__ import annotations

import socket

from edge_asd.doctor.verdict import Verdict, ok, problem

__all__ = ["connect"]

_TIMEOUT_S = 3.0


def connect(check: str, host: str, port: int, *, shown: str) -> Verdict:
    """Judge whether something listens there; nothing is sent.

    Parameters
    ----------
    shown : what the verdict calls the other side, whose address may be secret
    """
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S):
            return ok(check, f"{shown} answers")
    except OSError as error:
        # Not the whole error: it may repeat an address that is a secret.
        why = error.strerror or type(error).__name__
        advice = "does it run, is the network up, does a firewall forbid it?"
        return problem(check, f"{shown} does not answer: {why}", advice)
