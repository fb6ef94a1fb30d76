"""Training items: views, joint classes, and clips of another length than the network's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from edge_asd_export.data.clips import Clip
from edge_asd_export.training.training_set import Item, TrainingSet, training_items


@pytest.fixture
def ramp(tmp_path: Path) -> Clip:
    """A clip of 1000 samples whose values tell their position; far is negative."""
    path = tmp_path / "fan" / "train" / "section_00_source_train_normal_0000_spd_1.wav"
    path.parent.mkdir(parents=True)
    ramp = np.arange(1000) / 2000
    sf.write(path, np.stack([ramp, -ramp], axis=1), 16_000, subtype="FLOAT")
    return Clip(path, "fan", "00", "train", "source", "normal", 0, "spd_1", 1000)


def test_every_clip_is_paired_with_every_view(small_clips: dict[str, tuple[Clip, ...]]) -> None:
    items, _ = training_items(small_clips["fan"], ("near", "far"), view_classes=False)

    assert len(items) == 2 * len(small_clips["fan"])


# Two machines, two domains, two speeds each.
@pytest.mark.parametrize(("view_classes", "n_classes"), [(False, 8), (True, 16)])
def test_classes_join_machine_domain_attributes_and_perhaps_view(
    small_clips: dict[str, tuple[Clip, ...]], view_classes: bool, n_classes: int
) -> None:
    clips = [clip for own in small_clips.values() for clip in own]

    items, names = training_items(clips, ("near", "far"), view_classes=view_classes)

    assert len(names) == n_classes
    assert {item.label for item in items} == set(range(n_classes))


@pytest.mark.parametrize(("view", "sign"), [("near", 1), ("far", -1)])
def test_a_view_reads_its_channel(ramp: Clip, view: str, sign: int) -> None:
    audio, _ = TrainingSet([Item(ramp, view, 0)], 1000, seed=0)[0]

    half_a_step = 2**-16  # of 16 bits
    np.testing.assert_allclose(audio[0].numpy(), sign * np.arange(1000) / 2000, atol=half_a_step)


def test_short_clips_are_tiled_and_cut_at_random_places(ramp: Clip) -> None:
    dataset = TrainingSet([Item(ramp, "near", 0)], 2500, seed=0)
    starts = set()
    for epoch in range(5):
        dataset.set_epoch(epoch)
        audio, _ = dataset[0]
        position = np.rint(audio[0].numpy() * 2000).astype(int)
        assert (np.diff(position) % 1000 == 1).all()
        starts.add(position[0])

    assert len(starts) > 1


def test_long_clips_are_cut(ramp: Clip) -> None:
    audio, _ = TrainingSet([Item(ramp, "near", 0)], 300, seed=0)[0]

    assert audio.shape == (1, 300)


def test_a_cut_is_a_function_of_seed_and_epoch(ramp: Clip) -> None:
    first, second = (TrainingSet([Item(ramp, "near", 0)], 300, seed=3)[0][0] for _ in range(2))

    assert first.equal(second)
