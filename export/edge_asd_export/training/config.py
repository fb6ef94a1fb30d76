"""Every hyper-parameter of a training run in one record, read from TOML and the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from edge_asd.bundle.record import Record
from edge_asd.bundle.system import system_named
from edge_asd.errors import UsageError
from edge_asd.toml_file import toml_text
from edge_asd_export.data.folds import N_FOLDS
from edge_asd_export.extractors.autoencoder.learner import AutoencoderSettings
from edge_asd_export.extractors.beats.learner import BeatsSettings
from edge_asd_export.extractors.fkie.learner import FkieSettings
from edge_asd_export.extractors.ltas.learner import LtasSettings
from edge_asd_export.extractors.resnet.learner import ResnetSettings
from edge_asd_export.training.learner import FitSettings

__all__ = ["TrainConfig", "read_settings"]


class TrainConfig(Record):
    """Settings of one run; written into the run folder as JSON."""

    systems: Annotated[tuple[str, ...], Field(min_length=1)] = ("system5",)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    view_classes: bool = True  # a class of clips becomes one class for each view
    clip_s: Annotated[float, Field(gt=0)] | None = None  # None: the longest machine's clips
    # Calibration networks of each network, each trained without a fold; 5: without each once.
    folds: Annotated[int, Field(ge=0, le=N_FOLDS)] = 1
    ltas: LtasSettings = LtasSettings()
    fkie: FkieSettings = FkieSettings()
    beats: BeatsSettings = BeatsSettings()
    resnet: ResnetSettings = ResnetSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()

    def of(self, network: str) -> FitSettings:
        """Settings of a network of the run: of its extractor, be it for one machine or all."""
        settings: FitSettings = getattr(self, network.partition("/")[0])
        return settings


def read_settings(
    file: Path | None,
    overrides: Mapping[str, object],
    assignments: Sequence[str] = (),
    **every_network: int | None,
) -> TrainConfig:
    """Return the validated settings of a run.

    Parameters
    ----------
    file : TOML
    overrides : by key; None leaves a setting as it is. They win over the file
    assignments : ``KEY=VALUE`` with a dotted key; they win over all else
    every_network : settings that each network's section gets, unless None

    Raises
    ------
    UsageError
        When the file is not TOML, or a setting is unknown or out of its range.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            text = toml_text(file.read_bytes())
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{file} {error}") from error
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{file} is not valid TOML: {error}") from error
    values |= {key: value for key, value in overrides.items() if value is not None}
    for name in (name for name, default in TrainConfig() if isinstance(default, FitSettings)):
        for key, value in every_network.items():
            if value is not None:
                _assign(values, f"{name}.{key}", value)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE, found {assignment!r}")
        _assign(values, key.strip(), _value(text.strip()))
    try:
        settings = TrainConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(_described(error)) from error
    for system in settings.systems:
        system_named(system)
    return settings


def _described(error: ValidationError) -> str:
    """The first problem, in one line."""
    errors = error.errors()
    # Of a word or something else, the something else was meant.
    first = next((one for one in errors if one["type"] != "literal_error"), errors[0])
    *sections, key = first["loc"]
    where = ".".join(part for part in map(str, first["loc"]) if "[" not in part)
    if first["type"] != "extra_forbidden":
        return f"setting {where!r}: {first['msg']}, found {first['input']!r}"
    known: Any = TrainConfig().model_dump()
    for section in sections:
        known = known[section] or {}
    alike = get_close_matches(str(key), known, n=1)
    hint = f"did you mean {alike[0]!r}?" if alike else f"known: {', '.join(known)}"
    return f"unknown setting {where!r}, {hint}"


def _assign(values: dict[str, Any], dotted: str, value: object) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"setting {section!r} is no section: cannot set {dotted!r}")
    values[key] = value


def _value(text: str) -> object:
    """A TOML value; what is none is taken as a string, so that it needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
