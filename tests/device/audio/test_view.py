"""What an extractor is given of both microphones."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.audio.view import VIEWS, view_named
from edge_asd.errors import UsageError

AUDIO = np.arange(10, dtype=np.float32).reshape(2, 5)


@pytest.mark.parametrize(
    ("name", "expected"), [("near", AUDIO[:1]), ("far", AUDIO[1:]), ("stereo", AUDIO)]
)
def test_a_view_selects_channels(name: str, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(view_named(name).apply(AUDIO), expected)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_its_number_of_channels_and_leaves_its_input_alone(name: str) -> None:
    audio = AUDIO.copy()
    audio.flags.writeable = False

    seen = VIEWS[name].apply(audio)

    assert seen.shape == (VIEWS[name].n_channels, 5)
    assert seen.dtype == np.float32


def test_an_unknown_view_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown view 'above'; known views: near, far, stereo"):
        view_named("above")
