"""What a run of ``record`` says at its end, for people and for programs."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from edge_asd.bundle.manifest import Domain
from edge_asd.recordings.clip_name import NO_ATTRIBUTE
from edge_asd.recordings.clip_session import ClipSession
from edge_asd.recordings.training_clips import TrainingClips

__all__ = ["RecordingSummary", "in_minutes"]


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """How much there is of a machine in one domain, with some attributes."""

    machine: str
    domain: Domain
    attribute_text: str
    root: Path  # holds the machine's folder
    clip_s: float
    n_clips: int
    n_takes: int
    n_new: int  # of these, by this run
    n_known: int  # that this run heard again
    missing: int
    left_out: dict[str, int]  # clips by what was wrong with them

    @classmethod
    def of(
        cls,
        session: ClipSession,
        clips: TrainingClips,
        domain: Domain,
        attribute_text: str,
        root: Path,
    ) -> RecordingSummary:
        """Sum up a session."""
        return cls(
            clips.folder.name,
            domain,
            attribute_text,
            root,
            clips.clip_s,
            session.n_clips,
            clips.n_takes(domain, attribute_text),
            session.n_new,
            session.n_known,
            session.missing,
            dict(session.left_out),
        )

    @property
    def kind(self) -> str:
        """The domain, and the attributes where there are any."""
        named = self.attribute_text != NO_ATTRIBUTE
        return f"{self.domain} {self.attribute_text}" if named else self.domain

    def content(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        return {
            "machine": self.machine,
            "domain": self.domain,
            "attributes": self.attribute_text,
            "folder": str(self.root / self.machine),
            "clip_s": self.clip_s,
            "clips": self.n_clips,
            "takes": self.n_takes,
            "minutes": round(self.n_clips * self.clip_s / 60, 2),
            "new": self.n_new,
            "known": self.n_known,
            "missing": self.missing,
            "left_out": self.left_out,
        }

    def text(self, *, what_next: bool) -> str:
        """Return the summary in lines; what to type next, if wanted, once nothing is missing."""
        lines = [
            f"{self.machine}: {in_minutes(self.n_clips, self.clip_s)} of {self.kind} sound in "
            f"{self.root / self.machine}: {self.n_clips} clips of {self.clip_s:g} s, {self.n_new} "
            f"of them new, in {self.n_takes} take{'s' * (self.n_takes != 1)}"
        ]
        if self.n_known:
            lines.append(f"{self.n_known} clips of this sound were there before")
        if self.left_out:
            reasons = ", ".join(f"{meaning} ({n})" for meaning, n in self.left_out.items())
            lines.append(f"{sum(self.left_out.values())} clips left out: {reasons}")
        if self.missing:
            lines.append(
                f"{in_minutes(self.missing, self.clip_s)} are missing: the same command goes on "
                "from here"
            )
        elif what_next and self.n_clips:
            source = f"{socket.gethostname()}:{self.root.resolve()}/"
            lines += [
                "next, on the workstation:",
                f"  rsync -a {quote(source)} recordings/",
                f"  edge-asd train recordings --out {quote(f'runs/{self.machine}')}",
            ]
        return "\n".join(lines)


def in_minutes(n_clips: int, clip_s: float) -> str:
    """Return how long so many clips are, such as ``12.5 min``."""
    return f"{n_clips * clip_s / 60:.1f} min"
