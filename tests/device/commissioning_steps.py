"""A commissioning that was asked for, and of which nothing was heard yet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from device.mini_bundle import MACHINE

from edge_asd.bundle.bundle import Bundle
from edge_asd.learn.commissioning import CommissioningFolder, CommissioningPlan
from edge_asd.learn.opened_machine import bundle_stamp
from edge_asd.state.folder import StateFolder

BEGUN = datetime(2026, 11, 20, tzinfo=UTC)


def begin_commissioning(bundle: Path, root: Path, watch_s: float) -> CommissioningFolder:
    state = StateFolder(root, MACHINE)
    state.make()
    folder = CommissioningFolder(state)
    folder.begin(
        CommissioningPlan(
            machine=MACHINE,
            like=MACHINE,
            bundle_sha256=bundle_stamp(Bundle.open(bundle)).sha256,
            watch_s=watch_s,
            false_alarms_per_month=1.0,
            begun=BEGUN,
        )
    )
    return folder
