"""Profiles: what is read, what is refused."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from edge_asd.errors import ProfileError, UsageError
from edge_asd.profile import Profile, builtin_profiles, load_profile

FOLDER = ROOT / "firmware_config"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["default", "x86-64", "raspberry-pi-5"])
def test_built_in_profiles_are_found_by_name(name: str) -> None:
    assert name in builtin_profiles()
    assert load_profile(name).detector.threads >= 1


@pytest.mark.parametrize("name", ["x86-64", "raspberry-pi-5"])
def test_a_built_in_profile_holds_only_what_differs(name: str) -> None:
    default = tomllib.loads((FOLDER / "default.toml").read_text(encoding="utf-8"))
    own = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))

    same = [(s, key) for s in own for key in own[s] if own[s][key] == default[s][key]]

    assert same == []


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, "[alarm]\nholdoff_s = 60\n")

    profile = load_profile(path)

    assert profile.alarm.holdoff_s == 60
    assert profile.alarm.min_duration_s == "auto"
    assert profile.capture == load_profile().capture


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[capture]\nblok_s = 1.0", "unknown key 'capture.blok_s'; did you mean 'capture.block_s'"),
        ("[detektor]\nthreads = 1", "unknown key 'detektor'; did you mean 'detector'"),
        ("[alarm]\nthreshold = 1", "unknown key 'alarm.threshold'"),
        ("[capture]\nblock_s = 9.0", "capture.block_s is 9.0"),
        ("[capture]\ndevice = 1", "capture.device is 1"),
        ("[detector]\nthreads = 0", "detector.threads is 0"),
        ("[detector]\nthreads = true", "detector.threads is True"),
        ("[detector]\nsearch = 'fast'", "detector.search is 'fast'"),
        ("[detector]\nhop_s = 0", "detector.hop_s is 0"),
        ("[alarm]\nmin_duration_s = 'soon'", "alarm.min_duration_s is 'soon'"),
        ("[alarm]\nholdoff_s = nan", "alarm.holdoff_s is nan"),
        ("capture = 3", "capture is 3"),
        ("[capture\n", "not valid TOML"),
        ("[detector]\nthreads = 1_000_000", "detector.threads is 1000000: input should be less"),
        ("[detector]\nthreads = 0x" + 1900 * "f", "detector.threads is "),
        ("[detector]\nthreads = " + "\\\n".join(3 * ["9"]), "not valid TOML"),
        ("[capture]\nring_s = 1e308", "capture.ring_s is 1e+308: input should be less"),
        ("[capture]\nretry_min_s = 1e-300", "capture.retry_min_s is 1e-300: input should be gr"),
        ("[capture]\nwait_s = inf", "capture.wait_s is inf: input should be less"),
        ("[clips]\nmax_bytes = 100_000_000_000_000_000", "clips.max_bytes is 100000000000000000"),
        ("[drift]\nnotice_after_days = 1000000", "drift.notice_after_days is 1000000"),
        ("[sinks.webhook]\ntimeout_s = 1e6", "sinks.webhook.timeout_s is 1000000.0"),
        ("[alarm]\nextreme = 1e300", "alarm.extreme is 1e+300"),
        ("[alarm]\nconfirm = [1, 1000000000]", "alarm.confirm is 1000000000"),
        ("[alarm]\nconfirm = " + 50 * "[" + 50 * "]", "alarm.confirm is [[[["),
        ("[alarm]\nconfirm = " + 500 * "[" + 500 * "]", "arrays or tables within each other"),
        (".".join(10_000 * ["a"]) + " = 1", "a line of more than 2000 characters"),
        (
            '[sinks.mqtt]\nhost = "a\\u001b[2J"',
            "sinks.mqtt.host is 'a\\x1b[2J': control",
        ),
        ('[site]\nstate_dir = """a\nb"""', r"site.state_dir is 'a\nb': control characters"),
        ("# much\n" * 10_000, "more than 65536 bytes"),
        ('"a\\u001b[31m\\n" = 1', r"unknown key 'a\x1b[31m\n'"),
    ],
)
def test_a_profile_that_cannot_be_obeyed_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ProfileError) as raised:
        load_profile(write(tmp_path, text))

    assert complaint in str(raised.value)
    assert "site.toml" in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_a_value_of_the_command_line_has_the_same_range() -> None:
    with pytest.raises(UsageError, match=r"command line asks for capture\.wait_s is 1e\+300: "):
        load_profile().with_values(capture={"wait_s": 1e300})


def test_an_unknown_name_lists_the_built_in_ones() -> None:
    with pytest.raises(ProfileError, match=r"'rpi'; built-in profiles: .*raspberry-pi-5"):
        load_profile("rpi")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot read profile .*gone\.toml: No such file"):
        load_profile(str(tmp_path / "gone.toml"))


def test_reading_a_profile_loads_no_library_of_the_outputs() -> None:
    code = "import sys, edge_asd.profile; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    heavy = {"numpy", "paho", "prometheus_client", "sqlite3"}
    assert heavy & set(done.stdout.split()) == set()


def test_every_number_and_every_list_of_a_profile_is_bounded() -> None:
    schema = Profile.model_json_schema()
    kinds = list(_kinds(schema))
    numbers = [kind for kind in kinds if kind["type"] in ("integer", "number")]
    lists = [kind for kind in kinds if kind["type"] == "array"]

    assert len(numbers) > 30
    for kind in numbers:
        assert {"minimum", "exclusiveMinimum"} & kind.keys(), kind
        assert "maximum" in kind, kind
    for kind in lists:
        assert "maxItems" in kind, kind


def _kinds(schema: Any) -> Iterator[dict[str, Any]]:
    """Every type in a JSON schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for below in schema:
            yield from _kinds(below)
