"""Damaged and hostile bundles, opened as the device opens them: what becomes of each?

    PYTHONPATH=.:tests python -m benchmarks.fuzz_bundles --count 3000 --log fuzz.jsonl

Small bundles of every kind are changed (`bundle_mutations.py`), half of them with digests that are
made right again, and each is checked, opened and asked for the scores of fixed windows, in a
process of its own that is forked from one with everything imported. What may become of it:

=============  ====================================================================
refused        one line says why
contained      it killed or hung the child process that opens bundles first; one line
same           opened, and all levels and scores are as they were
different      opened, and a level or a score is another: bad
crash, hang    the process itself died, or took more than 30 s: bad
memory         it took more memory than its limit: bad
traceback      an error that is not one line: bad
=============  ====================================================================

The same seed and number give the same bundle; ``--only NUMBER --keep FOLDER`` makes one again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from device.fuzzed_bundles import BUNDLES
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.bundle_mutations import mutate, prepare, reseal
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.errors import EdgeAsdError

__all__ = ["BAD", "VERDICTS", "Outcome", "fuzz"]

TIMEOUT_S = 30.0
MEMORY_BYTES = 2**30  # of one process, what is imported included
SAME = 1e-3  # relative; absolute for scores below one: what golden windows allow at most
N_WINDOWS = 4

VERDICTS = (
    *("refused", "contained", "same"),
    *("different", "crash", "hang", "memory", "traceback"),
)
BAD = VERDICTS[3:]
_CHECKED = "checked"
_NOT_OBEYED = {"files", "tools", "created_utc", "export_report", "golden", "format_version"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one bundle."""

    number: int
    bundle: str
    seal: str  # which digests were made right again
    mutation: str = ""
    verdict: str = ""
    detail: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0


def fuzz(folder: Path, count: int, seed: int, only: int | None = None) -> Iterator[Outcome]:
    """Yield what becomes of so many changed bundles, made below `folder`."""
    prepare()
    sound = {name: write(folder / name) for name, write in BUNDLES.items()}
    # In this process: what is imported and set up here, no fork has to do again.
    expected = {name: _facts(path) for name, path in sound.items() if list(check_bundle(path))}
    for number in range(count) if only is None else [only]:
        random = Random(f"{seed}/{number}")
        name = random.choice(list(sound))
        seal = random.choice(("none", "none", "files", "all"))
        changed = folder / "changed"
        shutil.copytree(sound[name], changed)
        try:
            tried = partial(_try, changed, random, seal, expected[name])
            yield _outcome(Outcome(number, name, seal), *_forked(tried))
        finally:
            if only is None:
                shutil.rmtree(changed, ignore_errors=True)


def _try(folder: Path, random: Random, seal: str, expected: Any, say: Callable[..., None]) -> None:
    """Say what was changed, then a verdict, or that a child may do what a command does next."""
    mutation = mutate(folder, random)
    if seal != "none":
        reseal(folder, golden_too=seal == "all")
    say(mutation)
    _limit(MEMORY_BYTES)
    verdict, detail = _told(lambda: str(len(list(check_bundle(folder)))))
    if not verdict:
        say(_CHECKED)
        _limit(resource.RLIM_INFINITY)
        verdict, detail = _told(lambda: json.dumps(_facts(folder)))
    if not verdict:
        verdict, detail = _compared(expected, json.loads(detail))
    say(verdict, detail)


def _outcome(
    of: Outcome, status: int | None, said: list[Any], seconds: float, peak_bytes: int
) -> Outcome:
    mutation, *rest = said or [["changing it failed"]]
    if rest and rest[-1] != [_CHECKED]:
        verdict, detail = rest[-1]
    else:
        detail = "over time" if status is None else _name(status)
        verdict = "contained" if not rest else "hang" if status is None else "crash"
    if peak_bytes > MEMORY_BYTES:
        verdict, detail = "memory", f"{peak_bytes >> 20} MiB, then {verdict}: {detail}"
    return replace(
        of,
        mutation=mutation[0],
        verdict=verdict,
        detail=detail,
        seconds=seconds,
        peak_bytes=peak_bytes,
    )


def _limit(n_bytes: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, most))


def _name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit code {status}"


def _told(action: Callable[[], str]) -> tuple[str, str]:
    """What it gives, after ""; or how it failed."""
    try:
        return "", action()
    except (EdgeAsdError, MemoryError) as error:
        if "\n" in str(error):
            return "traceback", f"several lines: {error}"
        return "refused", str(error) or type(error).__name__
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{where.name}: {type(error).__name__}: {error}"[:300]


def _facts(folder: Path) -> Any:
    """What a bundle makes a device do: levels, and scores of fixed windows, by machine."""
    bundle = Bundle.open(folder)
    manifest = bundle.manifest
    scores = {}
    for machine in manifest.machines:
        detector = bundle.detector(machine)
        scores[machine] = [detector.score(w).score for w in _windows(detector.window_samples)]
    return {"scores": scores, "levels": manifest.model_dump(mode="json", exclude=_NOT_OBEYED)}


def _windows(n_samples: int) -> list[NDArray[np.float32]]:
    """Noise, hum, and both, each (2, n_samples)."""
    rng = np.random.default_rng(0)
    hum = 0.2 * np.sin(0.15 * np.arange(n_samples))
    return [
        (0.05 * rng.standard_normal((2, n_samples)) * (i != 1) + hum * (i > 0)).astype(np.float32)
        for i in range(N_WINDOWS)
    ]


def _compared(expected: Any, found: Any) -> tuple[str, str]:
    if found["levels"] != expected["levels"]:
        return "different", "levels"
    for machine, scores in expected["scores"].items():
        a, b = np.array(scores), np.array(found["scores"][machine])
        difference = np.abs(a - b) / np.maximum(np.abs(a), 1.0)
        if not (difference <= SAME).all():
            return "different", f"scores of {machine} by {difference.max():.2g}"
    return "same", ""


def _forked(
    action: Callable[[Callable[..., None]], None],
) -> tuple[int | None, list[Any], float, int]:
    """Run in a process of its own: exit status (None: over time), what it said, time, memory."""
    readable, writable = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        try:
            action(partial(_say, writable))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writable)
    said = b""
    while select.select([readable], [], [], max(0.0, start + TIMEOUT_S - time.monotonic()))[0]:
        part = os.read(readable, 65536)
        if not part:
            break
        said += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(readable)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - start
    code = None if seconds >= TIMEOUT_S else os.waitstatus_to_exitcode(status)
    lines = [json.loads(line) for line in said.splitlines()]
    return code, lines, seconds, usage.ru_maxrss * 1024


def _say(writable: int, *words: str) -> None:
    os.write(writable, f"{json.dumps(words)}\n".encode())


_SEALS = {
    "none": "as it was changed",
    "files": "the digests of files and manifest made right again",
    "all": "and those of the golden windows, as none but the exporter would",
}


def _table(outcomes: list[Outcome], seal: str) -> Table:
    table = Table("mutation", *VERDICTS, title=_SEALS[seal])
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if outcome.seal == seal:
            kind = outcome.mutation.partition(":")[0]
            counts.setdefault(kind, Counter())[outcome.verdict] += 1
            counts.setdefault("all", Counter())[outcome.verdict] += 1
    for kind in sorted(counts, key=lambda kind: (kind == "all", kind)):
        table.add_row(kind, *(str(counts[kind][verdict] or "") for verdict in VERDICTS))
    return table


def _main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this number alone")
    parser.add_argument("--keep", type=Path, help="work below this folder, which is left")
    parser.add_argument("--log", type=Path, default=os.devnull, help="a line of JSON for each")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcomes: list[Outcome] = []
    fast = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        TemporaryDirectory(dir=fast) as scratch,
        wanted.log.open("w", encoding="utf-8") as log,
        suppress(KeyboardInterrupt),  # what there is by then is told
    ):
        folder = wanted.keep or Path(scratch)
        found = fuzz(folder, wanted.count, wanted.seed, wanted.only)
        for outcome in track(found, "bundles", wanted.count, console=Console(stderr=True)):
            outcomes.append(outcome)
            log.write(f"{json.dumps(asdict(outcome))}\n")
            log.flush()
    for seal in _SEALS:
        Console().print(_table(outcomes, seal))
    bad = [outcome for outcome in outcomes if outcome.verdict in BAD]
    for outcome in bad[:50] if wanted.only is None else outcomes:
        print(outcome)
    slowest, largest = (
        max(outcomes, key=lambda one, key=key: getattr(one, key))  # type: ignore[misc]
        for key in ("seconds", "peak_bytes")
    )
    print(f"slowest {slowest.seconds:.1f} s, largest {largest.peak_bytes >> 20} MiB")
    # Nobody else can tell content that the exporter might have written so.
    return int(any((outcome.seal, outcome.verdict) != ("all", "different") for outcome in bad))


if __name__ == "__main__":
    sys.exit(_main())
