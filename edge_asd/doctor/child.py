"""Child processes: what may crash or hang does so there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["Ending", "ask_task", "run_python"]

_MAX_CHARS = 300  # of what a library prints before it dies


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended."""

    code: int | None  # negative: the signal that killed it; None: it had to be killed
    output: str
    complaint: str  # the last line on stderr
    timeout_s: float

    @property
    def illegal_instruction(self) -> bool:
        """Whether it was made for another processor."""
        return self.code == -signal.SIGILL

    @property
    def trouble(self) -> str:
        """Why it did not end well, in words; "" when it did."""
        if self.code is None:
            return f"did not end within {self.timeout_s:g} s"
        if self.code < 0:
            return f"died of {signal.Signals(-self.code).name}"
        return "" if self.code == 0 else self.complaint or f"exit code {self.code}"


def run_python(arguments: list[str], *, timeout_s: float) -> Ending:
    """Run this interpreter again, and wait for its end or the deadline."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ending(None, "", "", timeout_s)
    last = next(reversed(done.stderr.strip().splitlines()), "")
    return Ending(done.returncode, done.stdout, last[:_MAX_CHARS], timeout_s)


def ask_task(task: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
    """Return what a task of :mod:`edge_asd.doctor.tasks` found.

    A task that fails, dies or hangs gives ``{"error": why}``.
    """
    ending = run_python(
        ["-m", "edge_asd.doctor.tasks", task, json.dumps(arguments)], timeout_s=timeout_s
    )
    lines = ending.output.strip().splitlines()
    if ending.trouble or not lines:
        return {"error": ending.trouble or "it said nothing"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
