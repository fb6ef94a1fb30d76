"""The device package runs without the workstation's libraries and starts without heavy ones."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

WORKSTATION_ONLY = {"torch", "onnx", "sklearn", "scipy", "matplotlib", "edge_asd_export"}
HEAVY = {
    "PIL",
    "hnswlib",
    "numpy",
    "onnxruntime",
    "paho",
    "prometheus_client",
    "pydantic",
    "sounddevice",
    "soundfile",
    "soxr",
}

# Hides the workstation's libraries from a fresh interpreter, as on a device.
WITHOUT_EXTRA = (
    "import sys; sys.modules.update(dict.fromkeys("
    "['torch', 'onnx', 'sklearn', 'scipy', 'matplotlib']));"
)


def run_python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), "COLUMNS": "120", "PATH": "/usr/bin:/bin"},
    )


def edge_asd_without_extra(*args: str) -> subprocess.CompletedProcess[str]:
    return run_python(WITHOUT_EXTRA + "from edge_asd.cli import main; main()", *args)


def test_importing_every_device_module_loads_nothing_of_the_workstation() -> None:
    code = """
import importlib, json, pkgutil, sys, edge_asd
names = [m.name for m in pkgutil.walk_packages(edge_asd.__path__, "edge_asd.")]
for name in names:
    if name not in {"edge_asd.__main__", "edge_asd.cli"}:
        importlib.import_module(name)
print(json.dumps([names, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
    result = run_python(code)

    assert result.returncode == 0, result.stderr
    names, loaded = json.loads(result.stdout)
    assert "edge_asd.bundle.manifest" in names
    assert WORKSTATION_ONLY.isdisjoint(loaded)


def test_every_device_module_imports_without_the_extra() -> None:
    code = """
import importlib, pkgutil, edge_asd
for module in pkgutil.walk_packages(edge_asd.__path__, "edge_asd."):
    if module.name != "edge_asd.__main__":
        importlib.import_module(module.name)
"""
    result = run_python(WITHOUT_EXTRA + code)

    assert result.returncode == 0, result.stderr


def test_help_loads_no_heavy_library() -> None:
    code = """
import json, sys
from edge_asd.cli import app
try:
    app(["--help"])
except SystemExit:
    pass
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""
    result = run_python(code)

    loaded = set(json.loads(result.stderr))
    assert "listen" in result.stdout
    assert loaded.isdisjoint(HEAVY | WORKSTATION_ONLY - {"edge_asd_export"})


@pytest.mark.parametrize("name", ["listen", "score", "devices", "check", "bench"])
def test_help_of_a_device_command_needs_no_extra(name: str) -> None:
    result = edge_asd_without_extra(name, "--help")

    assert result.returncode == 0, result.stderr
    assert f"edge-asd {name}" in result.stdout


def test_help_without_the_extra_says_how_to_get_the_workstation_commands() -> None:
    result = edge_asd_without_extra("train", "--help")

    assert result.returncode == 0, result.stderr
    assert "pip install 'edge-asd[export]'" in " ".join(result.stdout.split())


@pytest.mark.parametrize("args", [(), ("data", "--epochs", "3"), ("--unknown",)])
def test_a_workstation_command_without_the_extra_names_the_extra(args: tuple[str, ...]) -> None:
    result = edge_asd_without_extra("train", *args)

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "error: 'edge-asd train' needs the workstation extra: pip install 'edge-asd[export]'\n"
    )
