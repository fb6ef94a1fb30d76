"""The bundle: whole, repeated to the digit, and fast enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_asd.bundle.bundle import UNCOVERED
from edge_asd.bundle.proof import check_in_child
from edge_asd.child_process import ask_child
from edge_asd.doctor import child
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.errors import BundleError
from edge_asd.scoring.stream import MAX_LOAD, WIDEST_HOP_WINDOWS

__all__ = ["bundle", "speed_verdict"]

_TIMEOUT_S = 300.0  # a large bundle on a slow card
_MEASURE_S = 2.0


def bundle(installation: Installation) -> Iterator[Verdict]:
    """Check and time the bundle."""
    if installation.bundle is None:
        for check in ("bundle", "speed"):
            yield not_checked(check, "no bundle was named", "give --bundle")
        return
    wanted = installation.profile.detector
    path = str(installation.bundle)
    yield (verdict := _checked(installation.bundle, wanted.threads))
    if verdict.state == "problem":
        yield not_checked("speed", "the bundle cannot be used")
        return
    speed = ask_child(
        child.speed,
        timeout_s=_TIMEOUT_S,
        bundle=path,
        machine=installation.machine,
        threads=wanted.threads,
        search=wanted.search,
        seconds=_MEASURE_S,
    )
    hop_s = None if wanted.hop_s == "bundle" else wanted.hop_s
    max_hop_s = None if wanted.max_hop_s == "auto" else wanted.max_hop_s
    yield speed_verdict(speed, hop_s=hop_s, max_hop_s=max_hop_s)


def _checked(bundle: Path, threads: int) -> Verdict:
    """Judge what ``edge-asd check`` verifies."""
    try:
        findings = list(check_in_child(bundle, threads=threads))
    except BundleError as error:
        return problem("bundle", str(error), "mend it as said, then: edge-asd check")
    if any(one.detail.endswith(UNCOVERED) for one in findings):
        return warning("bundle", f"{bundle}: {UNCOVERED}", "export the bundle again")
    golden = [one.detail for one in findings if one.what.startswith("golden")]
    return ok("bundle", f"{bundle} is whole; golden windows: {'; '.join(golden) or 'none'}")


def speed_verdict(
    speed: dict[str, Any], *, hop_s: float | None, max_hop_s: float | None
) -> Verdict:
    """Judge the real-time factor; `hop_s` and `max_hop_s` None: as bundle and window say."""
    if error := speed.get("error"):
        return problem("speed", error, "name the machine: --machine; or see 'edge-asd bench'")
    hop_s = hop_s or float(speed["hop_s"])
    max_hop_s = max_hop_s or max(hop_s, WIDEST_HOP_WINDOWS * float(speed["window_s"]))
    needed_s = float(speed["p95_s"]) / MAX_LOAD
    found = (
        f"real-time factor {speed['mean_s'] / hop_s:.3f} at a hop of {hop_s:g} s, "
        f"{speed['peak_bytes'] / 2**20:.0f} MiB"
    )
    if needed_s > max_hop_s:
        return problem("speed", found, "too slow: take a smaller system, or more threads")
    if needed_s > hop_s:
        return warning("speed", found, f"the hop will widen to about {needed_s:.1f} s")
    return ok("speed", found)
