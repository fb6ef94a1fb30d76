"""A run with a full-size BEATs of random weights, to measure size, precision and speed with.

    python benchmarks/full_size_beats.py --run RUN --out OUT

The other networks of the run, trained for system1 or system3, are taken over. The result is
exported and timed like any run; its scores mean nothing.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from edge_asd_export.extractors.beats.learner import BeatsSettings
from edge_asd_export.training.run import Run, save_checkpoint
from edge_asd_export.training.train import new_learner

NETWORK = "beats"


def main() -> None:
    """Write the run folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="finished run of a BEATs system")
    parser.add_argument("--out", type=Path, required=True, help="new run folder")
    options = parser.parse_args()
    trained = Run.open(options.run)
    if NETWORK not in trained.record.tasks:
        raise SystemExit(f"{options.run} has no {NETWORK}: train system1 or system3 first")
    config = trained.record.config.model_copy(
        update={"beats": BeatsSettings.model_validate({"architecture": "full"})}
    )
    run = Run(options.out, trained.record.model_copy(update={"config": config}))
    run.write()
    for name in trained.record.tasks:
        if name != NETWORK:
            shutil.copytree(trained.folder(name), run.folder(name), dirs_exist_ok=True)
    learner = new_learner(run, NETWORK)
    save_checkpoint(
        run.folder(NETWORK) / "checkpoint.pt",
        {"epoch": run.n_epochs(NETWORK), "learner": learner.state_dict()},
    )
    print(f"{options.out}: {config.of(NETWORK).variant}")


if __name__ == "__main__":
    main()
