"""What an export prints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_asd_export.bundling.bundle_writer import WrittenBundle
from edge_asd_export.bundling.export_table import print_export


def printed(written: WrittenBundle, capsys: pytest.CaptureFixture[str]) -> str:
    print_export(written)
    return capsys.readouterr().out


def test_a_machine_whose_clips_score_the_same_is_warned_of(
    small_bundle: WrittenBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    machines = dict(small_bundle.manifest.machines)
    fan = machines["fan"].threshold
    equal = fan.model_copy(update={"levels": tuple((rate, 0.0) for rate, _ in fan.levels)})
    machines["fan"] = machines["fan"].model_copy(update={"threshold": equal})
    manifest = small_bundle.manifest.model_copy(update={"machines": machines})

    assert "warning" not in printed(small_bundle, capsys)
    assert "warning: fan: its clips" in printed(replace(small_bundle, manifest=manifest), capsys)
