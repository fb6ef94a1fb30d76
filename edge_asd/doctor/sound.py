"""The sound card: found, allowed, recording."""

from __future__ import annotations

import grp
import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edge_asd.bundle.manifest_file import read_manifest
from edge_asd.child_process import ask_child
from edge_asd.doctor import child, recording
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.monitors import listeners
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem
from edge_asd.errors import BundleError

__all__ = ["access", "card_verdict", "in_use", "sound_card"]

_PROBE_TIMEOUT_S = 30.0
_OPEN_TIMEOUT_S = 15.0  # on top of the recording itself: a driver that hangs takes for ever
_USUAL_RATE_HZ = 48000
_BUNDLE_RATE_HZ = 16000  # where no bundle says another


def sound_card(installation: Installation) -> Iterator[Verdict]:
    """May it be opened, is it there, and what does it record?"""
    yield access(pwd.getpwuid(os.geteuid()).pw_name, _groups(), is_root=os.geteuid() == 0)
    card = ask_child(
        child.sound_card,
        timeout_s=_PROBE_TIMEOUT_S,
        device=installation.device,
        root=str(installation.root),
        near_far=_near_far(installation),
    )
    if listening := in_use(card.get("trouble", ""), installation):
        yield listening
        return
    yield card_verdict(installation.device, card)
    if card.get("rates_hz"):
        yield from _recording(installation, card)
    else:
        yield not_checked("recording", "no sound card to record from")


def access(user: str, groups: set[str], *, is_root: bool) -> Verdict:
    """Judge whether the user may open sound cards."""
    if is_root or "audio" in groups:
        return ok("access", f"{user} may open sound cards")
    advice = f"sudo usermod -aG audio {user}, then log in again"
    return problem("access", f"{user} is not in group audio", advice)


def card_verdict(device: str, card: dict[str, Any]) -> Verdict:
    """Judge what the task `sound_card` found."""
    if error := card.get("error"):
        return problem("sound card", error, "plug it in, then: edge-asd devices")
    if not card["rates_hz"]:
        found = f"{card['name']} refuses two channels at every rate: {card['trouble']}"
        return problem("sound card", found, "is another program using it? fuser -v /dev/snd/*")
    rates = ", ".join(f"{rate_hz / 1000:g}" for rate_hz in card["rates_hz"])
    found = f"{device} is {card['name']}, because {card['reason']}; {rates} kHz"
    if card["lasting_name"] in (device, card["name"]):
        return ok("sound card", found)
    return ok("sound card", f"{found}; its lasting name is {card['lasting_name']}")


def in_use(trouble: str, installation: Installation) -> Verdict | None:
    """Judge a card that is busy because a monitor runs; None: it is not that."""
    if "unavailable" not in trouble.lower() or not (machines := listeners(installation)):
        return None
    found = f"the monitor of {' or '.join(machines)} listens to it"
    return not_checked("recording", found, "to examine the sound, stop the monitor first")


def _recording(installation: Installation, card: dict[str, Any]) -> Iterator[Verdict]:
    usual_hz = card["default_rate_hz"]
    rate_hz = min(card["rates_hz"], key=lambda hz: (hz != usual_hz, abs(hz - _USUAL_RATE_HZ)))
    warmup_s, seconds = installation.profile.capture.warmup_s, installation.seconds
    with tempfile.TemporaryDirectory() as folder:
        file = installation.recording or Path(folder) / "recording.npy"
        answer = ask_child(
            child.record,
            timeout_s=_OPEN_TIMEOUT_S + warmup_s + seconds,
            index=card["index"],
            rate_hz=rate_hz,
            n_channels=card["n_channels"],
            near_far=_near_far(installation),
            seconds=seconds,
            warmup_s=warmup_s,
            file=str(file),
        )
        if error := answer.get("error"):
            advice = "does a monitor use it? edge-asd service status; else unplug it once"
            yield in_use(error, installation) or problem("recording", error, advice)
            return
        audio = np.load(file, allow_pickle=False)
    yield ok("recording", f"{seconds:g} s at {rate_hz} Hz")
    monitor_rate_hz = _monitor_rate_hz(installation.bundle)
    yield from recording.verdicts(audio, rate_hz, monitor_rate_hz=monitor_rate_hz)


def _near_far(installation: Installation) -> list[int]:
    return installation.profile.capture.near_far or [1, 2]


def _monitor_rate_hz(bundle: Path | None) -> int:
    if bundle is not None:
        with suppress(BundleError):  # a verdict of its own
            return read_manifest(bundle).sample_rate_hz
    return _BUNDLE_RATE_HZ


def _groups() -> set[str]:
    names = set()
    for number in (os.getegid(), *os.getgroups()):
        with suppress(KeyError):  # a group without a name, as in containers
            names.add(grp.getgrgid(number).gr_name)
    return names
