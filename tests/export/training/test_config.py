"""Settings from a file, from options and from assignments."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_asd.errors import UsageError
from edge_asd_export.training.config import TrainConfig, read_settings
from edge_asd_export.training.recipes import RECIPES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text('seed = 1\nclip_s = 2.5\n[fkie]\nepochs = 7\nbatch_size = 4\ninput = "mel"\n')
    return path


def test_nothing_given_means_the_defaults() -> None:
    assert read_settings(None, {"systems": None, "seed": None}, epochs=None) == TrainConfig()


def test_options_win_over_the_file_and_assignments_over_both(file: Path) -> None:
    settings = read_settings(
        file, {"seed": 2}, ["seed=3", "fkie.batch_size=6"], epochs=9, batch_size=5
    )

    assert settings.seed == 3
    assert (settings.fkie.epochs, settings.fkie.batch_size) == (9, 6)
    assert (settings.clip_s, settings.fkie.input) == (2.5, "mel")


def test_an_option_that_is_not_given_leaves_the_file_alone(file: Path) -> None:
    settings = read_settings(file, {"seed": None}, epochs=None, batch_size=None)

    assert (settings.seed, settings.fkie.epochs, settings.fkie.batch_size) == (1, 7, 4)


def test_epochs_are_those_of_every_network(file: Path) -> None:
    settings = read_settings(file, {}, epochs=11)

    assert {settings.of(name).epochs for name in RECIPES} == {11}


def test_the_last_of_two_assignments_counts() -> None:
    assert read_settings(None, {}, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("assignment", "section", "key", "value"),
    [
        ("fkie.learning_rate=1e-4", "fkie", "learning_rate", 1e-4),
        ("fkie.input=mel", "fkie", "input", "mel"),
        ('fkie.input="mel"', "fkie", "input", "mel"),
        (" fkie.n_mels = 64 ", "fkie", "n_mels", 64),
        ("resnet.width=64", "resnet", "width", 64),
    ],
)
def test_a_value_is_toml_and_a_word_needs_no_quotes(
    assignment: str, section: str, key: str, value: object
) -> None:
    assert getattr(getattr(read_settings(None, {}, [assignment]), section), key) == value


def test_a_value_may_be_false_or_a_list() -> None:
    settings = read_settings(None, {}, ["view_classes=false", 'systems=["system4", "system2"]'])

    assert settings.view_classes is False
    assert settings.systems == ("system4", "system2")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("fkie.epochs", r"KEY=VALUE, found 'fkie.epochs'"),
        ("=3", "KEY=VALUE, found '=3'"),
        ("fkie.epochs=0", r"'fkie.epochs': .* greater than 0, found 0"),
        ("fkie.batch_size=1", "fkie.batch_size"),
        ("fkie.input=cepstrum", r"'fkie.input': .*'linear' or 'mel'.*, found 'cepstrum'"),
        ("fkie.inputs=mel", r"unknown setting 'fkie.inputs', did you mean 'input'\?"),
        ("fkei.epochs=3", r"unknown setting 'fkei', did you mean 'fkie'\?"),
        ("width=3", "unknown setting 'width', known: systems, seed, "),
        ("beats.published.q=3", r"'beats\.published"),
        ("seed.epochs=3", "'seed'"),
        ("seed=-1", "'seed'"),
        ("systems=[]", "'systems'"),
        ('systems=["system9"]', "unknown system 'system9'; known systems: system1"),
        ("fkie=3", "'fkie'"),
        ("ltas.warps=[0.1]", r"'ltas\.warps\.0': .* greater than or equal to 0\.5, found 0\.1"),
        ("ltas.warps=3", r"'ltas\.warps': "),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_settings(None, {}, [assignment])

    assert "\n" not in str(caught.value)


def test_a_setting_below_a_number_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match=r"'seed' is no section: cannot set 'seed\.epochs'"):
        read_settings(file, {}, ["seed.epochs=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "not valid TOML"),
        ("epochs = 7\n", "unknown setting 'epochs'"),
        ("[fkie]\nx = 1\n", "unknown setting 'fkie.x'"),
    ],
)
def test_a_file_that_is_no_settings_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "typo.toml").write_text(text)

    with pytest.raises(UsageError, match=message) as caught:
        read_settings(tmp_path / "typo.toml", {})

    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff\xe0")

    with pytest.raises(UsageError, match=r"picture\.toml is not UTF-8 text"):
        read_settings(tmp_path / "picture.toml", {})
