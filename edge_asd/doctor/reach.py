"""The outputs of the profile: their other side answers, their secrets can be read."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.errors import ProfileError
from edge_asd.outputs.secrets_source import Secret

__all__ = ["outputs", "secret_verdict"]


def outputs(installation: Installation) -> Iterator[Verdict]:
    """Every output that the profile asks for."""
    sinks, environment = installation.profile.sinks, installation.environment
    for secret in sinks.secrets:
        yield secret_verdict(secret, environment)
    enabled = [section for section in sinks.sections if section.enabled]
    for section in enabled:
        yield from section.reach(environment)
    if not enabled:
        yield not_checked("outputs", "the profile names none", "see [sinks] in default.toml")


def secret_verdict(secret: Secret, environment: Mapping[str, str]) -> Verdict:
    """Judge whether a secret is there, and for its owner alone."""
    key = secret.key.removeprefix("sinks.")
    if not secret.file and secret.variable not in environment:
        advice = "the service reads it from its .env file in /etc/edge-asd"
        return not_checked(key, f"{secret.variable} is not set here", advice)
    try:
        secret.read(environment)
    except ProfileError as error:
        return problem(key, str(error), "let the user who runs the monitor read it")
    if secret.file and Path(secret.file).stat().st_mode & stat.S_IROTH:
        found = f"every user can read {secret.file}"
        return warning(key, found, f"chmod o-rwx {secret.file}")
    return ok(key, f"is in {secret.file or secret.variable}")
