"""A bundle that is new here is opened by a child process first; what kills that is one line."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from device.bundle_files import reseal
from device.parts_bundle import write_parts_bundle
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from edge_asd import child_process
from edge_asd.bundle import proof
from edge_asd.bundle.manifest_file import read_manifest
from edge_asd.bundle.proof import check_in_child, open_proven
from edge_asd.cli import app
from edge_asd.errors import BundleError
from edge_asd.state.places import usual_root


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder of this user."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return usual_root(os.environ)


WELL = child_process.Ending(0, "", "", 20)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bundles that children were asked to open; all end well, without being started."""
    asked: list[str] = []

    def run(task: object, *, bundle: str, **rest: object) -> child_process.Ending:
        asked.append(bundle)
        return WELL

    monkeypatch.setattr(proof, "run_task", run)
    return asked


@pytest.fixture
def hungry(mini_bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose encoder takes 64 GB in 16 bytes of its file, its digests right."""
    bundle = shutil.copytree(mini_bundle, tmp_path / "bundle")
    model = onnx.load(bundle / "encoder.onnx")
    side = numpy_helper.from_array(np.array([2**17, 2**17]), "side")
    model.graph.initializer.append(side)
    model.graph.node[-1].output[0] = "small"
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["side"], ["large"]),
            helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
            helper.make_node("Add", ["small", "most"], ["embedding"]),
        ]
    )
    onnx.save(model, bundle / "encoder.onnx")
    reseal(bundle)
    return bundle


def test_a_bundle_is_proven_once(mini_bundle: Path, children: list[str]) -> None:
    for _ in range(2):
        open_proven(mini_bundle)

    assert len(children) == 1


@pytest.mark.usefixtures("children")
def test_a_disk_that_hangs_keeps_no_monitor_from_starting(
    mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(proof, "_KEPT_WITHIN_S", 0.01)
    monkeypatch.setattr(proof, "write_atomically", lambda path, content: answers.wait())

    open_proven(mini_bundle)  # returns, or the test never ends

    answers.set()


def test_what_check_verified_is_proven(mini_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [finding.what for finding in check_in_child(mini_bundle)]
    monkeypatch.setattr(proof, "run_task", None)  # nothing is started any more

    open_proven(mini_bundle)

    assert {"files", "graphs of fkie", "golden windows of pump"} <= set(found)


def test_a_child_runs_no_code_of_the_folder_that_the_user_is_in(
    mini_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(mini_bundle, tmp_path / "bundle")
    for name in ("json.py", "numpy.py", "edge_asd.py", "onnxruntime.py"):
        (bundle / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(bundle)

    list(check_in_child(Path()))

    assert not (tmp_path / "ran").exists()


def test_one_machine_is_replayed_for_each_set_of_networks(tmp_path: Path) -> None:
    manifest = read_manifest(write_parts_bundle(tmp_path / "parts"))
    shared = manifest.model_copy(
        update={
            "branches": manifest.branches[1:],  # the autoencoders are one for each machine
        }
    )

    assert proof._covering(manifest) == ["fan", "pump"]
    assert proof._covering(shared) == ["fan"]


def test_another_version_of_the_runtime_proves_it_again(
    mini_bundle: Path, children: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_proven(mini_bundle)
    monkeypatch.setattr(proof, "version", lambda name: "99")
    open_proven(mini_bundle)

    assert len(children) == 2


def test_a_graph_that_takes_all_memory_is_one_line(hungry: Path, state: Path) -> None:
    with pytest.raises(BundleError) as caught:
        open_proven(hungry)

    assert "\n" not in str(caught.value)
    assert not (state / "proven").exists()


@pytest.mark.parametrize("command", ["check", "score"])
def test_commands_say_it_in_one_line(hungry: Path, command: str, tmp_path: Path) -> None:
    arguments = {
        "check": [str(hungry)],
        "score": [str(tmp_path / "x.wav"), "--bundle", str(hungry)],
    }

    result = CliRunner().invoke(app, [command, *arguments[command]])

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (child_process.Ending(-11, "", "", 20), "died of SIGSEGV"),
        (child_process.Ending(None, "", "", 20), "did not end within 20 s"),
        (child_process.Ending(1, "", "MemoryError", 20), "MemoryError"),
    ],
)
def test_how_a_child_ended_is_said(
    mini_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: child_process.Ending,
    said: str,
) -> None:
    monkeypatch.setattr(proof, "run_task", lambda *given, **named: ending)

    with pytest.raises(BundleError, match=f"a child process that opened it {said}"):
        open_proven(mini_bundle)


def test_where_nothing_can_be_kept_it_is_proven_each_time(
    mini_bundle: Path, children: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    for _ in range(2):
        open_proven(mini_bundle)

    assert len(children) == 2


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\n" * 10**6, b"x"])
def test_a_damaged_record_of_what_was_proven_is_no_proof(
    mini_bundle: Path, children: list[str], state: Path, content: bytes
) -> None:
    state.mkdir(parents=True)
    (state / "proven").write_bytes(content)

    open_proven(mini_bundle)
    open_proven(mini_bundle)

    assert len(children) == 1


@pytest.mark.parametrize("kind", ["pipe", "link", "device"])
def test_a_pipe_in_place_of_the_record_keeps_nobody_waiting_and_a_link_leads_nowhere(
    mini_bundle: Path, children: list[str], state: Path, kind: str
) -> None:
    state.mkdir(parents=True)
    other = state / "other"
    other.write_text("precious")
    record = state / "proven"
    if kind == "pipe":
        os.mkfifo(record)
    else:
        record.symlink_to(other if kind == "link" else "/dev/zero")

    open_proven(mini_bundle)
    open_proven(mini_bundle)

    assert len(children) == 1
    assert record.is_file() and not record.is_symlink()
    assert other.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_record_in_the_state_of_a_service_belongs_to_it(
    mini_bundle: Path, children: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        state = Path(name) / "state"
        state.mkdir()
        os.chown(state, 65534, 65533)

        open_proven(mini_bundle, root=state)

        assert ((state / "proven").stat().st_uid, (state / "proven").stat().st_gid) == (
            65534,
            65533,
        )
