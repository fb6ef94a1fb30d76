"""State files: one JSON object each, read and written as a record."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from edge_asd.errors import StateError
from edge_asd.state.atomic import write_atomically
from edge_asd.state.trust import read_regular

__all__ = [
    "CLOCKS_ARE_SET_FROM",
    "Decibels",
    "Finite",
    "StateRecord",
    "UtcTime",
    "first_problem",
    "within_the_calendar",
]

CLOCKS_ARE_SET_FROM = datetime(2020, 1, 1, tzinfo=UTC)  # a clock before it was never set

Finite = Annotated[float, Field(allow_inf_nan=False)]
Decibels = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]


def _utc_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def within_the_calendar(time: datetime) -> datetime:
    """Return a time; refuse one that leaves the calendar in another zone.

    Raises
    ------
    ValueError
        When it does.
    """
    if not 1900 <= time.year <= 2900:
        raise ValueError(f"the year {time.year} is not one of this device")
    return time


# ISO 8601 with a zone in the file, which is UTC when this program writes it.
UtcTime = Annotated[
    AwareDatetime,
    AfterValidator(within_the_calendar),
    PlainSerializer(_utc_text, when_used="json"),
]


class StateRecord(BaseModel):
    """Content of a state file, or a part of it; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)
    indent: ClassVar[int | None] = None  # of the JSON; None: one line
    most_bytes: ClassVar[int] = 16_000_000  # of a file

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return what a file holds, or None when there is no file.

        Raises
        ------
        StateError
            When it cannot be read, or holds something else.
        """
        try:
            return cls.model_validate_json(read_regular(path, cls.most_bytes))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else error.strerror
            raise StateError(
                f"{path} cannot be read ({reason}); move it away to begin anew"
            ) from error

    @classmethod
    def load_or_set_aside(cls, path: Path) -> Self | None:
        """Return what a file holds; one that cannot be used is renamed, with a warning.

        A monitor that forgot something is better than none.
        """
        try:
            return cls.load(path)
        except StateError as error:
            aside = path.with_name(f"{path.name}.broken")
            with suppress(OSError):
                path.replace(aside)
            logging.getLogger(__name__).warning(
                "%s is forgotten, and kept as %s: %s", path.name, aside, error
            )
            return None

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        OSError
            As the system does; the old file is then as it was.
        """
        write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        text = json.dumps(
            self.model_dump(mode="json"), ensure_ascii=False, allow_nan=False, indent=self.indent
        )
        # "replace", because a path or a name may hold bytes that are no text.
        return f"{text}\n".encode(errors="replace")


def first_problem(error: ValidationError) -> str:
    """Return in one line where the first error is, and what it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
