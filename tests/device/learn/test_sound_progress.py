"""What is shown while sound is heard where there is no terminal."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.learn import sound_progress

AUDIO = np.full((2, 100), 0.1, np.float32)


def test_without_a_terminal_a_line_tells_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_progress, "_LINE_EVERY_S", 0.0)

    with sound_progress.sound_progress("windows", 40) as show:
        show(AUDIO, 7, "near is silent")

    said = capsys.readouterr().err
    assert said == "7 of 40 windows: near  -20  far  -20 dBFS  near is silent\n"


def test_it_does_not_tell_every_block(capsys: pytest.CaptureFixture[str]) -> None:
    with sound_progress.sound_progress("clips", None) as show:
        for _ in range(3):
            show(AUDIO, 1, "")

    assert capsys.readouterr().err == ""
