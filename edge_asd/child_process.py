"""Child processes: what may crash, hang or take all memory does so there.

A task is a function of any module, called as ``python -m edge_asd.child_process MODULE TASK JSON``.
Each line that it prints is a JSON object; the last one is what it returns.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_asd.errors import EdgeAsdError

__all__ = ["Ending", "ask_child", "run_python", "run_task"]

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
        if self.code is None or self.code == -signal.SIGXCPU:
            return f"did not end within {self.timeout_s:g} s"
        if self.code < 0:
            return f"died of {signal.Signals(-self.code).name}"
        return "" if self.code == 0 else self.complaint or f"exit code {self.code}"

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What a task printed."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]


def run_python(arguments: list[str], *, timeout_s: float) -> Ending:
    """Run this interpreter again, and wait for its end or the deadline.

    It finds modules where this program is, and none in the folder that the user is in, which may
    be that of a bundle from elsewhere.
    Names and paths are UTF-8 to it under any locale, as to this program.
    """
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-X", "utf8", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""
        return Ending(None, printed.decode(errors="replace"), "", timeout_s)
    last = next(reversed(done.stderr.strip().splitlines()), "")
    return Ending(done.returncode, done.stdout, last[:_MAX_CHARS], timeout_s)


def run_task(
    task: Callable[..., dict[str, Any]],
    *,
    timeout_s: float,
    memory_bytes: int | None = None,
    **arguments: Any,
) -> Ending:
    """Run a task in a child process.

    Parameters
    ----------
    timeout_s : of real time, and of a processor should nobody be there to end it
    memory_bytes : that it may take; None: any
    """
    limits = {"seconds": math.ceil(timeout_s), "memory_bytes": memory_bytes}
    text = json.dumps({"limits": limits, "arguments": arguments})
    command = ["-m", "edge_asd.child_process", task.__module__, task.__name__, text]
    return run_python(command, timeout_s=timeout_s)


def ask_child(
    task: Callable[..., dict[str, Any]], *, timeout_s: float, **arguments: Any
) -> dict[str, Any]:
    """Return what a task finds in a child process.

    A task that fails, dies or hangs gives ``{"error": why}``.
    """
    ending = run_task(task, timeout_s=timeout_s, **arguments)
    if ending.trouble or not ending.lines:
        return {"error": ending.trouble or "it said nothing"}
    return ending.lines[-1]


def _main(module: str, task: str, text: str) -> None:
    asked = json.loads(text)
    _obey(**asked["limits"])
    try:
        answer = getattr(importlib.import_module(module), task)(**asked["arguments"])
    except EdgeAsdError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)


def _obey(seconds: int, memory_bytes: int | None) -> None:
    """Keep limits that hold when nobody is there any more to end this process."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: seconds * (os.cpu_count() or 1),
        resource.RLIMIT_DATA: memory_bytes,
    }
    for limit, value in limits.items():
        _, most = resource.getrlimit(limit)
        if value is not None and (most == resource.RLIM_INFINITY or value < most):
            resource.setrlimit(limit, (value, most))


if __name__ == "__main__":
    _main(*sys.argv[1:])
