"""Which public archives make up a data set: one TOML file per data set."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Annotated

from pydantic import Field

from edge_asd.bundle.record import Record
from edge_asd.errors import UsageError
from edge_asd.recordings.clip_name import Split

__all__ = ["Archive", "Catalogue", "Part", "load_catalogue"]

DATA_SETS = ("dcase2026",)


class Archive(Record):
    """One zip file of one machine."""

    name: str
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None


class Part(Record):
    """A record on Zenodo and its archives by machine."""

    record: int
    splits: tuple[Split, ...]  # what every archive holds
    archives: Mapping[str, Archive]

    def machines(self, names: Sequence[str]) -> tuple[str, ...]:
        """The named machines in the order of the catalogue; all when none is named.

        Raises
        ------
        UsageError
            When a name is not in this part.
        """
        for name in names:
            _require_known("machine", name, self.archives)
        return tuple(name for name in self.archives if not names or name in names)

    def url(self, machine: str, base_url: str) -> str:
        """Where the archive of a machine lies on Zenodo or on a mirror with the same paths."""
        name = self.archives[machine].name
        return f"{base_url.rstrip('/')}/records/{self.record}/files/{name}"

    @property
    def doi(self) -> str:
        return f"10.5281/zenodo.{self.record}"


class Catalogue(Record):
    """The parts of a data set, the licence of its audio and its home page."""

    title: str
    licence: str
    page: str
    parts: Mapping[str, Part]

    def part(self, name: str) -> Part:
        """The part of this name.

        Raises
        ------
        UsageError
            When there is none.
        """
        _require_known("part", name, self.parts)
        return self.parts[name]


def load_catalogue(data_set: str) -> Catalogue:
    """The catalogue of a data set.

    Raises
    ------
    UsageError
        When the data set is none of `DATA_SETS`.
    """
    _require_known("data set", data_set, DATA_SETS)
    text = files("edge_asd_export.data").joinpath(f"{data_set}.toml").read_text(encoding="utf-8")
    return Catalogue.model_validate(tomllib.loads(text))


def _require_known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in (names := tuple(known)):
        raise UsageError(f"no {kind} '{name}' to fetch; choose from {', '.join(names)}")
