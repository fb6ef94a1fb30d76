"""Device profiles: what belongs to a site, written in TOML.

A bundle says what normal sounds like; a profile says which microphone, how much of the
processor, how patient the alarm, where events go. ``default.toml`` names every key; any
other profile holds only what differs from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_asd.errors import ProfileError

__all__ = [
    "AlarmSettings",
    "CaptureSettings",
    "DetectorSettings",
    "Profile",
    "SinkSettings",
    "builtin_profiles",
    "load_profile",
]

_DEFAULT = "default"

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CaptureSettings(_Settings):
    """The microphone."""

    device: str  # as in `listen --device`
    block_s: Annotated[float, Field(ge=0.005, le=2)]
    ring_s: PositiveSeconds
    stall_timeout_s: PositiveSeconds


class DetectorSettings(_Settings):
    """The scoring."""

    threads: Annotated[int, Field(ge=1)]
    search: Literal["auto", "exact", "hnsw"]
    hop_s: PositiveSeconds | Literal["bundle"]


class AlarmSettings(_Settings):
    """How patient the alarm is; its levels come from the bundle."""

    min_duration_s: Seconds | Literal["auto"]
    holdoff_s: Seconds | Literal["auto"]


class SinkSettings(_Settings):
    """Where events go, besides standard output."""

    jsonl: str  # file to append to; empty: none


class Profile(_Settings):
    """One device at one site."""

    capture: CaptureSettings
    detector: DetectorSettings
    alarm: AlarmSettings
    sinks: SinkSettings


def load_profile(name_or_path: str = _DEFAULT) -> Profile:
    """Return a built-in profile by name, or the one in a TOML file.

    Raises
    ------
    ProfileError
        When there is no such profile, when it is not TOML, or when it has an unknown key
        or an impossible value.
    """
    folder = _builtin_folder()
    default = _read(folder / f"{_DEFAULT}.toml")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in builtin_profiles():
            raise ProfileError(
                f"unknown profile {name_or_path!r}; built-in profiles: "
                f"{', '.join(builtin_profiles())}; or give the path of a .toml file"
            )
        path = folder / f"{name_or_path}.toml"
    return _validated(_merged(default, _read(path)), path)


def builtin_profiles() -> list[str]:
    """Names of the profiles that come with the program."""
    return sorted(path.stem for path in _builtin_folder().glob("*.toml"))


def _builtin_folder() -> Path:
    package = Path(str(files("edge_asd")))
    installed = package / "_profiles"
    return installed if installed.is_dir() else package.parent / "firmware_config"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProfileError(f"cannot read profile {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"profile {path} is not valid TOML: {error}") from error


def _merged(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`default` with every value that `own` has, table by table."""
    merged = dict(default)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = (
            _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def _validated(content: dict[str, Any], path: Path) -> Profile:
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"][:2])  # deeper: alternatives of a type
        if first["type"] == "extra_forbidden":
            raise ProfileError(f"profile {path}: {_unknown(first['loc'])}") from None
        raise ProfileError(
            f"profile {path}: {key} is {first['input']!r}: {first['msg'].lower()}"
        ) from None


def _unknown(location: tuple[int | str, ...]) -> str:
    *table, key = map(str, location)
    fields = _SECTIONS[table[0]].model_fields if table else Profile.model_fields
    close = get_close_matches(key, fields, n=1, cutoff=0)
    dotted = ".".join([*table, key])
    return f"unknown key {dotted!r}; did you mean {'.'.join([*table, *close])!r}?"


_SECTIONS: Mapping[str, type[_Settings]] = {
    "capture": CaptureSettings,
    "detector": DetectorSettings,
    "alarm": AlarmSettings,
    "sinks": SinkSettings,
}
