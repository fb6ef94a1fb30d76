"""What every section of a profile is made of: strict models, and types with their ranges."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

__all__ = [
    "Bytes",
    "FilePath",
    "Port",
    "PositiveSeconds",
    "Seconds",
    "Settings",
    "TopicPrefix",
    "WaitSeconds",
]

_DAY_S = 86_400.0


def _in_home(path: str, info: ValidationInfo) -> str:
    """Put the home folder in the place of a leading ``~``."""
    home = (info.context or {}).get("home")
    if home is not None and (path == "~" or path.startswith("~/")):
        return str(Path(home, path[2:]))
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError("there is no such user, or none with a home folder") from None


Seconds = Annotated[float, Field(ge=0, le=30 * _DAY_S)]
PositiveSeconds = Annotated[float, Field(ge=0.001, le=_DAY_S)]
# Of a thread that waits for somebody else: an endless wait looks like a hang.
WaitSeconds = Annotated[float, Field(ge=0.1, le=300)]
Port = Annotated[int, Field(ge=0, le=65535)]
Bytes = Annotated[int, Field(ge=0, le=2**53)]
# "" for none. ``~`` is the home folder of who reads it, or the one in the validation's context.
FilePath = Annotated[str, AfterValidator(_in_home)]
# Part of a topic or of a file name: nothing that MQTT or a path gives a meaning.
TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=255)]


class Settings(BaseModel):
    """One section; unknown keys and values of another type are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, str_max_length=4096)

    @field_validator("*")
    @classmethod
    def _is_one_line(cls, value: Any) -> Any:
        """Refuse control characters, which would reach logs and terminals."""
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any(unicodedata.category(mark) == "Cc" for mark in text):
                raise ValueError("control characters are not allowed")
        return value
