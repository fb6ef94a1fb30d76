"""Device profiles: what belongs to a site, written in TOML.

A bundle says what normal sounds like; a profile says which microphone, how much of the
processor, how sensitive the alarm, where events go. ``default.toml`` names every key and
explains it; any other profile holds only what differs from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from edge_asd.errors import ProfileError, UsageError
from edge_asd.outputs.registry import OutputSettings
from edge_asd.settings import Bytes, FilePath, PositiveSeconds, Seconds, Settings
from edge_asd.toml_file import toml_text

__all__ = [
    "AlarmSettings",
    "CaptureSettings",
    "ClipSettings",
    "DetectorSettings",
    "DriftSettings",
    "Profile",
    "SignalSettings",
    "SiteSettings",
    "builtin_folder",
    "builtin_profiles",
    "load_profile",
    "readable_profile",
]

_DEFAULT = "default"
_MOST_MISTAKES = 20
_MAX_BYTES = 65_536  # of a file; the default has 6 kB
_MAX_LINE = 2000  # tomllib needs memory by the square of the dots in a key
_MAX_SHOWN = 80  # characters of a value in a message

HopSeconds = Annotated[float, Field(ge=0.001, le=86400)]


class CaptureSettings(Settings):
    """The microphone."""

    device: str
    channels: (
        Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=2, max_length=2)]
        | (Literal["auto"])
    )
    block_s: Annotated[float, Field(ge=0.005, le=2)]
    ring_s: Annotated[float, Field(ge=0.1, le=600)]
    stall_timeout_s: PositiveSeconds
    wait_s: Seconds | Literal["forever"]
    warmup_s: Seconds
    retry_min_s: PositiveSeconds
    retry_max_s: PositiveSeconds
    healthy_after_s: PositiveSeconds
    max_drift_ppm: Annotated[float, Field(gt=0, le=1_000_000)]

    @property
    def near_far(self) -> list[int] | None:
        """Numbers of the near and the far channel, counted from 1; None: nobody chose."""
        return None if self.channels == "auto" else self.channels

    @model_validator(mode="after")
    def _channels_differ(self) -> Self:
        if self.near_far and self.near_far[0] == self.near_far[1]:
            raise ValueError(f"channels {self.near_far} name one channel for near and far")
        return self

    @model_validator(mode="after")
    def _pauses_are_ordered(self) -> Self:
        if self.retry_min_s > self.retry_max_s:
            raise ValueError(
                f"retry_min_s {self.retry_min_s} is above retry_max_s {self.retry_max_s}"
            )
        return self


class SignalSettings(Settings):
    """What is checked of the sound itself."""

    checks: bool
    level_tolerance_db: Annotated[float, Field(gt=0, le=200)]


class DetectorSettings(Settings):
    """The scoring."""

    threads: Annotated[int, Field(ge=1, le=256)]
    search: Literal["auto", "exact", "hnsw"]
    hop_s: HopSeconds | Literal["bundle"]
    max_hop_s: HopSeconds | Literal["auto"]


class AlarmSettings(Settings):
    """How sensitive the alarm is; its levels are statistics of normal sound."""

    false_alarms_per_month: Annotated[float, Field(gt=0, le=10_000)] | Literal["bundle"]
    min_duration_s: Seconds | Literal["auto"]
    confirm: (
        Annotated[list[Annotated[int, Field(ge=1, le=10_000)]], Field(min_length=2, max_length=2)]
        | (Literal["auto"])
    )
    extreme: Annotated[float, Field(ge=-1e6, le=1e6)] | Literal["auto", "off"]
    holdoff_s: Seconds | Literal["auto"]


class DriftSettings(Settings):
    """When to say that normal has moved."""

    notice_after_days: Annotated[int, Field(ge=1, le=365)]
    min_hours: Annotated[float, Field(gt=0, le=24)]


class SiteSettings(Settings):
    """The place."""

    state_dir: FilePath


class ClipSettings(Settings):
    """What is kept of each alarm."""

    enabled: bool
    pre_roll_s: Annotated[float, Field(ge=0, le=600)]
    post_roll_s: Annotated[float, Field(ge=0, le=600)]
    max_clip_s: Annotated[float, Field(gt=0, le=3600)]
    max_bytes: Bytes
    reserve_bytes: Bytes


class Profile(Settings):
    """One device at one site."""

    capture: CaptureSettings
    signal: SignalSettings
    detector: DetectorSettings
    alarm: AlarmSettings
    drift: DriftSettings
    site: SiteSettings
    clips: ClipSettings
    sinks: OutputSettings

    def with_values(self, **sections: Mapping[str, Any]) -> Self:
        """Return a profile with other values, section by section; None changes nothing.

        Raises
        ------
        UsageError
            When a value is impossible.
        """
        own = self.model_dump()
        try:
            return self.model_validate(_merged(own, _given(sections)))
        except ValidationError as error:
            raise UsageError(f"the command line asks for {_wrong(error, own)}") from None


def load_profile(name_or_path: str = _DEFAULT, home: Path | None = None) -> Profile:
    """Return a built-in profile by name, or the one in a TOML file.

    Parameters
    ----------
    home : what ``~`` is in its paths; None: the home folder of this process

    Raises
    ------
    ProfileError
        When there is no such profile, when it is not TOML, or when it has an unknown key
        or an impossible value.
    """
    folder = builtin_folder()
    default = _read(folder / f"{_DEFAULT}.toml")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in builtin_profiles():
            raise ProfileError(
                f"unknown profile {name_or_path!r}; built-in profiles: "
                f"{', '.join(builtin_profiles())}; or give the path of a .toml file"
            )
        path = folder / f"{name_or_path}.toml"
    return _validated(_merged(default, _read(path)), default, path, home)


def readable_profile(name_or_path: str) -> tuple[Profile, ProfileError | None]:
    """Return a profile as far as it can be obeyed, and what is wrong with it.

    A key that cannot be obeyed has its default; so have all where nothing can be read.
    """
    try:
        return load_profile(name_or_path), None
    except ProfileError as error:
        default = _read(builtin_folder() / f"{_DEFAULT}.toml")
        try:
            content = deepcopy(_merged(default, _read(Path(name_or_path))))
        except ProfileError:
            content = default
        for _ in range(_MOST_MISTAKES):
            try:
                return Profile.model_validate(content), error
            except ValidationError as wrong:
                for mistake in wrong.errors():
                    _set_back(content, default, mistake["loc"])
        return Profile.model_validate(default), error


def builtin_profiles() -> list[str]:
    """Names of the profiles that come with the program."""
    return sorted(path.stem for path in builtin_folder().glob("*.toml"))


def builtin_folder() -> Path:
    """Where the files of ``firmware_config`` are: in the wheel, or beside the package."""
    package = Path(str(files("edge_asd")))
    installed = package / "_profiles"
    return installed if installed.is_dir() else package.parent / "firmware_config"


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = toml_text(content)
    except OSError as error:
        raise ProfileError(f"cannot read profile {path}: {error.strerror}") from error
    except ValueError as error:
        raise ProfileError(f"profile {path} {error}") from error
    if len(content) > _MAX_BYTES or any(len(line) > _MAX_LINE for line in text.splitlines()):
        raise ProfileError(
            f"profile {path} has more than {_MAX_BYTES} bytes, or a line of more than "
            f"{_MAX_LINE} characters; is it a profile?"
        )
    try:
        return tomllib.loads(text)
    except ValueError as error:  # more digits than Python reads, too
        raise ProfileError(f"profile {path} is not valid TOML: {_shown(error)}") from error
    except RecursionError:
        raise ProfileError(
            f"profile {path} has arrays or tables within each other, too deep to be read; "
            "no key of a profile takes such a value"
        ) from None


def _merged(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`default` with every value that `own` has, table by table."""
    merged = dict(default)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = (
            _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without those that are None."""
    return {
        key: _given(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def _validated(
    content: dict[str, Any], default: Mapping[str, Any], path: Path, home: Path | None
) -> Profile:
    try:
        return Profile.model_validate(content, context={"home": home})
    except ValidationError as error:
        raise ProfileError(f"profile {path}: {_wrong(error, default)}") from None


def _wrong(error: ValidationError, default: Mapping[str, Any]) -> str:
    """Name the first thing that is wrong: which key, its value, what it should be."""
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        return _unknown(first["loc"], default)
    key = _known_part(first["loc"], default)
    message = first["msg"].removeprefix("Value error, ")
    if isinstance(first["input"], dict):
        return f"{key}: {message}"
    return f"{key} is {_shown(first['input'])}: {message[:1].lower()}{message[1:]}"


def _set_back(
    content: dict[str, Any], default: Mapping[str, Any], location: tuple[int | str, ...]
) -> None:
    """Give what is wrong its default; a key that there is not is removed."""
    key = str(location[0])
    below, usual = content.get(key), default.get(key)
    if isinstance(below, dict) and isinstance(usual, Mapping) and location[1:]:
        _set_back(below, usual, location[1:])
    elif key in default:
        content[key] = deepcopy(usual)
    else:
        content.pop(key, None)


def _shown(value: object) -> str:
    """`value` on one line, however large it is."""
    try:
        text = str(value) if isinstance(value, Exception) else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, nested arrays
        text = f"a {type(value).__name__} of unreadable size"
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _known_part(location: tuple[int | str, ...], default: Mapping[str, Any]) -> str:
    """Name the key; what follows in `location` are the alternatives of its type."""
    known: list[str] = []
    table: Any = default
    for part in location:
        if not isinstance(table, Mapping) or part not in table:
            break
        known.append(str(part))
        table = table[str(part)]
    return ".".join(known)


def _unknown(location: tuple[int | str, ...], default: Mapping[str, Any]) -> str:
    *parents, key = map(str, location)
    table: Any = default
    for parent in parents:
        table = table[parent]
    close = get_close_matches(key, table, n=1, cutoff=0)
    dotted, near = ".".join([*parents, key]), ".".join([*parents, *close])
    return f"unknown key {_shown(dotted)}; did you mean {near!r}?"
