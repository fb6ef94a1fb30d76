"""What several tests of the device share."""

from __future__ import annotations

from pathlib import Path

import pytest
from device.mini_bundle import mixings, write_mini_bundle
from hypothesis import HealthCheck, settings

# How long an example takes says more about the computer than about the program.
settings.register_profile(
    "busy-computer", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy-computer")


@pytest.fixture(scope="session")
def mini_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with one machine, ``pump``, and windows of one second."""
    return write_mini_bundle(tmp_path_factory.mktemp("bundles") / "mini")


@pytest.fixture(scope="session")
def ensemble_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of an ensemble of three networks, each of which does not know a third."""
    return write_mini_bundle(tmp_path_factory.mktemp("bundles") / "ensemble", mixings(3))
