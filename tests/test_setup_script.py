"""What setting up on a bare machine installs, and what it says, with stubs for what it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT

SCRIPT = ROOT / ".ci" / "setup.sh"
TOOLS = ("cat", "chmod", "dirname", "grep", "mkdir", "rm", "sh", "sha256sum", "touch")


def stub(folder: Path, name: str, body: str = "") -> None:
    """A program that notes how it was called, and then does as told."""
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder}/calls"\n{body}\n')
    path.chmod(0o755)


def calls(folder: Path) -> list[str]:
    log = folder / "calls"
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with the tools of every Debian, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    stub(folder, "ldconfig")
    stub(folder, "apt-get")
    stub(folder, "id", "echo 1000")
    return folder


def run(bare: Path, commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Source the script, and run some of its functions in an empty folder."""
    work = bare.parent / "work"
    work.mkdir(exist_ok=True)
    code = f'source "{SCRIPT}"; cd "{work}"; system_folders=; {commands}'
    return subprocess.run(
        ["/bin/bash", "-c", code],
        env={"PATH": str(bare), "HOME": str(work), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_bare_machine_gets_python_and_a_compiler_but_no_broker(bare: Path) -> None:
    done = run(bare, 'missing_build_packages "$(find_python)"')

    assert done.stdout.split() == ["python3", "python3-venv", "python3-dev", "g++", "libportaudio2"]


def test_a_python_that_is_too_old_is_named(bare: Path) -> None:
    stub(bare, "python3", "exit 1")

    done = run(bare, "find_python")

    assert done.returncode == 1
    assert "python3 is older than Python 3.11" in done.stderr


def test_only_the_tests_need_a_broker(bare: Path) -> None:
    assert run(bare, "missing_test_packages").stdout.split() == ["mosquitto", "openssl", "strace"]


def test_what_is_there_is_not_installed(bare: Path) -> None:
    for name in ("python3", "c++", "mosquitto", "openssl", "strace"):
        stub(bare, name)
    stub(bare, "ldconfig", "echo libportaudio.so.2")

    done = run(bare, "missing_build_packages python3; missing_test_packages")

    assert done.stdout == ""


def test_a_user_with_sudo_installs_with_it(bare: Path) -> None:
    stub(bare, "sudo")

    done = run(bare, "install_system_packages python3 g++")

    assert done.returncode == 0
    assert "installing system packages with sudo: python3 g++" in done.stderr
    assert calls(bare)[:2] == ["id -u", "sudo sh -c "]
    assert calls(bare)[-1] == " setup python3 g++"


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_a_user_who_may_not_install_is_told_what_root_has_to_run(
    sudo: str | None, bare: Path
) -> None:
    if sudo is not None:
        stub(bare, "sudo", sudo)

    done = run(bare, "install_system_packages python3 mosquitto")

    assert done.returncode == 1
    command = "apt-get update && apt-get install --no-install-recommends python3 mosquitto"
    assert f"{command} && systemctl disable --now mosquitto" in done.stderr


def test_without_apt_the_packages_are_named(bare: Path) -> None:
    (bare / "apt-get").unlink()

    done = run(bare, "install_system_packages g++")

    assert done.returncode == 1
    assert "install these first (Debian's names): g++" in done.stderr


def as_root(bare: Path, policy: Path, *packages: str) -> int:
    """What root runs, with another place for the policy."""
    script = run(bare, 'printf %s "$install_as_root"').stdout
    script = script.replace("/usr/sbin/policy-rc.d", str(policy))
    words = [str(bare / "sh"), "-c", script, "setup", *packages]
    return subprocess.run(words, env={"PATH": str(bare)}, check=False).returncode


def test_the_broker_is_neither_started_nor_enabled(bare: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    stub(bare, "systemctl")
    stub(bare, "apt-get", f'[ "$1" = update ] || ! "{policy}"')  # succeeds if no service may start

    code = as_root(bare, policy, "openssl", "mosquitto")

    assert code == 0
    assert calls(bare)[-1] == "systemctl disable --quiet mosquitto"
    assert not policy.exists()


def test_a_broker_that_was_there_is_left_alone(bare: Path, tmp_path: Path) -> None:
    stub(bare, "systemctl")

    assert as_root(bare, tmp_path / "policy-rc.d", "openssl") == 0

    assert not any("systemctl" in call for call in calls(bare))


def test_a_policy_of_the_administrator_stays(bare: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")

    as_root(bare, policy, "openssl")

    assert policy.read_text() == "theirs"


def test_an_installation_that_fails_leaves_no_policy(bare: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    stub(bare, "apt-get", "exit 100")
    stub(bare, "systemctl")

    assert as_root(bare, policy, "mosquitto") == 100

    assert calls(bare)[-1] == "systemctl disable --quiet mosquitto"
    assert not policy.exists()


def pci_device(folder: Path, vendor: str, kind: str) -> str:
    device = folder / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    return f'pci_devices="{folder}"'


@pytest.mark.parametrize(
    ("vendor", "kind", "found"),
    [
        ("0x10de", "0x030000", True),  # a graphics card
        ("0x10de", "0x030200", True),  # a card without a display
        ("0x10de", "0x060400", False),  # a bridge on an old main board
        ("0x1002", "0x030000", False),  # another maker's
    ],
)
def test_a_card_is_found_without_its_driver(
    vendor: str, kind: str, found: bool, bare: Path, tmp_path: Path
) -> None:
    devices = pci_device(tmp_path / "devices", vendor, kind)

    assert (run(bare, f"{devices}; has_nvidia_card").returncode == 0) == found


def test_a_card_of_a_container_is_found_by_its_driver(bare: Path) -> None:
    stub(bare, "nvidia-smi", "echo 'GPU 0: NVIDIA'")

    assert run(bare, "pci_devices=/none; has_nvidia_card").returncode == 0


PIP = """
echo torch==9.9 >constraints.txt
pip_install() { echo "pip $*"; case "$*" in *whl/cpu*) return ${NO_INDEX:-0} ;; esac; }
has_nvidia_card() { return ${NO_CARD:-0}; }
install_python_packages true
"""
WITHOUT_CUDA = (
    "pip --retries 1 --no-deps --index-url https://download.pytorch.org/whl/cpu torch==9.9"
)


@pytest.mark.parametrize(
    ("environment", "without_cuda"),
    [
        ({"NO_CARD": "1"}, True),
        ({"NO_CARD": "0"}, False),
        ({"NO_CARD": "0", "TORCH": "cpu"}, True),
        ({"NO_CARD": "1", "TORCH": "cuda"}, False),
    ],
)
def test_pytorch_is_the_build_for_the_processor_where_there_is_no_card(
    environment: dict[str, str], without_cuda: bool, bare: Path
) -> None:
    done = run(bare, PIP, **environment)

    assert (WITHOUT_CUDA in done.stdout) == without_cuda
    assert ("PyTorch without CUDA" in done.stderr) == without_cuda
    assert "-e .[export,dev]" in done.stdout.splitlines()[-1]


def test_an_index_out_of_reach_is_told_with_its_cost_and_the_ordinary_one_taken(bare: Path) -> None:
    done = run(bare, PIP, NO_CARD="1", NO_INDEX="1")

    assert done.returncode == 0
    assert "PyTorch comes from the ordinary index" in done.stderr
    assert "2.7 GB" in done.stderr
    assert "-e .[export,dev]" in done.stdout.splitlines()[-1]


COMPLETE = """
mkdir -p .venv/bin; touch pyproject.toml constraints.txt
for name in python edge-asd; do printf '#!/bin/sh\\necho 3.11' >.venv/bin/$name; done
chmod +x .venv/bin/*
fingerprint >.venv/installed
"""


def test_what_is_complete_needs_neither_network_nor_root(bare: Path) -> None:
    done = run(bare, f"{COMPLETE} main")

    assert done.returncode == 0
    assert "nothing to install; call it as .venv/bin/edge-asd" in done.stderr
    assert calls(bare) == []


def test_another_python_or_version_of_a_package_makes_it_incomplete(bare: Path) -> None:
    done = run(
        bare,
        f"{COMPLETE} is_complete && echo complete; echo torch==9 >>constraints.txt;"
        "is_complete || echo changed",
    )

    assert done.stdout.split() == ["complete", "changed"]


def test_the_script_runs_from_any_folder(bare: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f'source "{SCRIPT}"; pwd'],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == str(ROOT)
