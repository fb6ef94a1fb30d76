"""Some damaged and hostile bundles at each run of the tests; `make fuzz` tries thousands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from places import ROOT

COUNT = 50


def test_damaged_and_hostile_bundles_are_refused_in_one_line_or_obeyed_as_before(
    tmp_path: Path,
) -> None:
    log = tmp_path / "fuzz.jsonl"
    command = [sys.executable, "-m", "benchmarks.fuzz_bundles", "--count", str(COUNT)]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "export")))

    done = subprocess.run(
        [*command, "--log", str(log)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [json.loads(line)["verdict"] for line in log.read_text().splitlines()]
    assert len(verdicts) == COUNT
    assert {"refused", "same"} <= set(verdicts)
