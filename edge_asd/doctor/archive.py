"""The support archive: what somebody far away needs to know, and no secrets.

Everything that goes into it is text that was searched for the secrets of the profile, or
sound that was asked for. Links are never followed: a folder that others can write to
must not make the archive read their choice of files.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from edge_asd.clips.folder import AUDIO_FILE, EVENT_FILE, PICTURE_FILE
from edge_asd.doctor.installation import Installation
from edge_asd.errors import EdgeAsdError, StateError
from edge_asd.outputs.journal import memory_in
from edge_asd.profile import Profile
from edge_asd.service import systemd
from edge_asd.service.plan import read_env
from edge_asd.state.atomic import atomic_file
from edge_asd.state.folder import JOURNAL
from edge_asd.state.places import SERVICE_CONFIG, below
from edge_asd.state.trust import read_regular
from edge_asd.system_files import first_line, read_text

__all__ = ["members", "profile_text", "secrets_in", "write_archive"]

_FOLDER = "edge-asd-support"
_REMOVED = "<removed>"
# Shorter ones are words that occur anyhow, and shorter guesses may be "true" or "enabled".
_MIN_SECRET_CHARS = 4
_MIN_GUESS_CHARS = 8
_SECRET_NAME = re.compile(r"PASS|TOKEN|SECRET|KEY|CREDENTIAL|_URL$", re.IGNORECASE)
_COMMENT_SIGNS = re.compile(r"^[#;\s]+", re.MULTILINE)  # an old secret is one, too
_MAX_EVENTS = 20
_MAX_MACHINES = 32
_MAX_TEXT_BYTES = 4 << 20
_MAX_JOURNAL_BYTES = _MAX_SOUND_BYTES = 64 << 20
_N_LOG_LINES = 2000
_STATE_TEXTS = ("condition.json", "daily.json", "start.json")
_SOUNDS = (AUDIO_FILE, PICTURE_FILE)


def write_archive(path: Path, content: Iterable[tuple[str, bytes]]) -> None:
    """Write a .tar.gz that its owner alone can read; whole or not at all.

    Raises
    ------
    StateError
        When it cannot be written.
    """
    now = int(time.time())
    try:
        with atomic_file(path, 0o600) as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, data in content:
                entry = tarfile.TarInfo(f"{_FOLDER}/{name}")
                entry.size, entry.mtime, entry.mode = len(data), now, 0o600
                tar.addfile(entry, io.BytesIO(data))
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}; name another file") from error


def members(
    installation: Installation, findings: dict[str, Any], *, with_audio: bool
) -> Iterator[tuple[str, bytes]]:
    """Return name and content of every file of the archive.

    Parameters
    ----------
    findings : see :func:`edge_asd.doctor.examination.to_dict`
    with_audio : also the sound of the last alarms, and the short recording
    """
    secrets = secrets_in(installation)
    for name, text in _texts(installation, findings):
        yield name, _without(secrets, text).encode()
    if with_audio:
        yield from _sounds(installation)


def profile_text(profile: Profile) -> str:
    """Return the profile as JSON, without what is private, and the names of what that was."""
    content = profile.model_dump()
    removed = []
    for section in profile.sinks.sections:
        for key in section.private:
            if getattr(section, key):
                content["sinks"][section.name][key] = _REMOVED
                removed.append(f"sinks.{section.name}.{key}")
    return json.dumps({"removed": removed} | content, indent=2)


def secrets_in(installation: Installation) -> set[str]:
    """Every secret that this process can know of, or guess."""
    sinks = installation.profile.sinks
    files = sorted(below(installation.root, SERVICE_CONFIG).glob("*.env"))
    texts = [_COMMENT_SIGNS.sub("", read_text(file)) for file in files]
    environments = [installation.environment, *map(read_env, texts)]
    known = {getattr(section, key, "") for section in sinks.sections for key in section.secrets}
    for secret in sinks.secrets:
        if secret.file:
            known.add(first_line(Path(secret.file)).strip())
        known |= {environment.get(secret.variable, "") for environment in environments}
    guessed = {
        value
        for environment in environments
        for name, value in environment.items()
        if _SECRET_NAME.search(name)
    }
    # A log may hold the path of an address without the rest.
    guessed |= {address.partition("://")[2].partition("/")[2] for address in known | guessed}
    return known | {guess for guess in guessed if len(guess) >= _MIN_GUESS_CHARS}


def _without(secrets: Iterable[str], text: str) -> str:
    worth = {secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS}
    spelled = {form for secret in worth for form in (secret, json.dumps(secret)[1:-1])}
    for secret in sorted(spelled, key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, _REMOVED)
    return text


def _texts(installation: Installation, findings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "doctor.json", json.dumps(findings, indent=2)
    yield "profile.json", profile_text(installation.profile)
    yield "packages.txt", _packages()
    yield from _logs(installation)
    for machine in _machines(installation):
        about = machine.relative_to(installation.state)
        journal = _content(machine / JOURNAL, _MAX_JOURNAL_BYTES) or b""
        for remembered, content in memory_in(journal).items():
            yield f"{about}/{Path(remembered).name}.json", content.decode(errors="replace")
        events = [event / EVENT_FILE for event in _events(machine)]
        for path in (*(machine / name for name in _STATE_TEXTS), *events):
            if text := _content(path, _MAX_TEXT_BYTES):
                name = path.relative_to(installation.state)
                yield str(name), text.decode(errors="replace")


def _sounds(installation: Installation) -> Iterator[tuple[str, bytes]]:
    events = [event for machine in _machines(installation) for event in _events(machine)]
    for path in (event / name for event in events for name in _SOUNDS):
        if sound := _content(path, _MAX_SOUND_BYTES):
            yield str(path.relative_to(installation.state)), sound
    if installation.recording is not None:
        yield "recording.npy", _content(installation.recording, _MAX_SOUND_BYTES) or b""


def _packages() -> str:
    # Not `pip freeze`: it shows the addresses, keys included, that packages came from.
    lines = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def _logs(installation: Installation) -> Iterator[tuple[str, str]]:
    if installation.root != Path("/") or not shutil.which("journalctl"):
        return
    try:
        lines = systemd.run(
            *("journalctl", "--no-pager", "--quiet", "--output=short-iso"),
            *(f"--lines={_N_LOG_LINES}", "--unit=edge-asd@*"),
        )
    except EdgeAsdError as error:
        lines = f"{error}\n"
    yield "journal.txt", lines


def _machines(installation: Installation) -> list[Path]:
    return _folders(installation.state, _MAX_MACHINES)


def _events(machine: Path) -> list[Path]:
    events = machine / "events"
    return [] if events.is_symlink() else _folders(events, _MAX_EVENTS)


def _folders(parent: Path, limit: int) -> list[Path]:
    """Real folders below `parent`, the last names first: those of alarms begin with a time."""
    try:
        folders = [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
    return sorted(folders, reverse=True)[:limit]


def _content(path: Path, limit_bytes: int) -> bytes | None:
    """Return a regular file's content; None for a link, a pipe, or what is too large."""
    try:
        return read_regular(path, limit_bytes)
    except (OSError, StateError):
        return None
