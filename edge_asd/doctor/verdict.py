"""Verdicts of the doctor: what was checked, what was found, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["State", "Verdict", "not_checked", "ok", "problem", "warning"]

State = Literal["ok", "warning", "problem", "not checked"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the page."""

    check: str
    state: State
    found: str
    advice: str = ""  # one line; empty when there is nothing to do


def ok(check: str, found: str) -> Verdict:
    """Return the verdict on what is as it should be."""
    return Verdict(check, "ok", found)


def warning(check: str, found: str, advice: str) -> Verdict:
    """Return the verdict on what the monitor works with, but not at its best."""
    return Verdict(check, "warning", found, advice)


def problem(check: str, found: str, advice: str) -> Verdict:
    """Return the verdict on what keeps the monitor from working, or from being trusted."""
    return Verdict(check, "problem", found, advice)


def not_checked(check: str, why: str, advice: str = "") -> Verdict:
    """Return the verdict on what could not be found out."""
    return Verdict(check, "not checked", why, advice)
