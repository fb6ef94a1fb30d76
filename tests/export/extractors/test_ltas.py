"""The spectrum networks: statistics of the spectrum, members, and what each of them learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from export.conftest import machine_noise, new_run

from edge_asd.errors import DataError
from edge_asd_export.data.clips import Clip
from edge_asd_export.extractors.ltas.learner import LtasLearner, LtasSettings
from edge_asd_export.extractors.ltas.network import N_BINS, N_STATISTICS, Ltas, SpectrumStatistics
from edge_asd_export.extractors.ltas.statistics_set import read_statistics, stretched
from edge_asd_export.training.learner import Task
from edge_asd_export.training.train import load_learner, train_network
from edge_asd_export.training.training_set import ClassName, Item

CLASSES = tuple(ClassName("fan", "source", str(i), "near") for i in range(3))


def statistics(audio: np.ndarray) -> np.ndarray:
    """Of one channel."""
    found: torch.Tensor = SpectrumStatistics()(torch.from_numpy(audio)[None, None].float())[0]
    return found.numpy()


def learner(n_samples: int = 16_000) -> LtasLearner:
    torch.manual_seed(0)
    return LtasLearner(Task(n_samples, 1, 16_000, CLASSES), LtasSettings())


def gradients(model: LtasLearner) -> list[torch.Tensor]:
    """Of the first layer of each member."""
    layers = (model.extractor.encoder.get_submodule(f"networks.{i}.0") for i in range(5))
    return [layer.weight.grad for layer in layers if isinstance(layer.weight.grad, torch.Tensor)]


def batch(n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Items of three classes and five folds."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(n, N_STATISTICS, N_BINS, generator=generator)
    return values, torch.stack([torch.arange(n) % 3, torch.arange(n) % 5], dim=1)


def test_statistics_are_those_that_numpy_computes() -> None:
    audio = machine_noise(120.0, seed=0)[0]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    frames = np.lib.stride_tricks.sliding_window_view(audio, 1024)[::512] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-11
    loudness, mean = np.log(power.mean(axis=0)), np.log(power).mean(axis=0)
    expected = [loudness - loudness.mean(), mean - mean.mean(), np.log(power).std(axis=0)]

    np.testing.assert_allclose(statistics(audio), expected, atol=2e-3)


def test_gain_changes_nothing() -> None:
    audio = machine_noise(120.0, seed=0)[0]

    np.testing.assert_allclose(statistics(0.1 * audio), statistics(audio), atol=1e-3)


@pytest.mark.parametrize("n_samples", [1024, 1500, 16_000])
@pytest.mark.parametrize("gain", [0.0, 1e-8, 1.0])
def test_one_frame_and_silence_have_finite_embeddings(n_samples: int, gain: float) -> None:
    audio = gain * machine_noise(120.0, seed=0)[:1, :n_samples]
    model = learner(n_samples).eval()

    embedding = model.embed(torch.from_numpy(audio)[None].float())

    assert embedding.shape == (1, 5, 128)
    assert torch.isfinite(embedding).all()


def test_clips_shorter_than_a_frame_are_refused() -> None:
    with pytest.raises(DataError, match="at least 1024 samples, these have 1000"):
        learner(1000)


def test_input_is_standardised_by_the_training_items() -> None:
    network = Ltas(members=2).eval()
    values = 3 + 2 * batch()[0]
    network.standardise_by(values)

    standardised = (values.flatten(1) - network.mean) / network.deviation

    torch.testing.assert_close(standardised.mean(dim=0), torch.zeros(1539), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        standardised.std(dim=0, correction=0), torch.ones(1539), atol=2e-3, rtol=0
    )


def test_folding_keeps_the_embeddings() -> None:
    model = learner()
    values, label = batch()
    for _ in range(3):
        model(values, label, torch.Generator().manual_seed(0))  # moves the normalisations
    model.eval()

    folded = model.inference_extractor().encoder

    assert not any(isinstance(module, torch.nn.BatchNorm1d) for module in folded.modules())
    torch.testing.assert_close(folded(values), model.extractor.encoder(values))


@pytest.mark.parametrize("fold", range(5))
def test_a_member_learns_nothing_from_the_fold_of_its_number(fold: int) -> None:
    values, label = batch()
    changed = values.clone()
    changed[label[:, 1] == fold] += 1
    found = []
    for statistics in (values, changed):
        model = learner()
        model(statistics, label, torch.Generator().manual_seed(0)).backward()
        found.append(gradients(model))

    unmoved = [bool(a.equal(b)) for a, b in zip(*found, strict=True)]

    assert unmoved == [member == fold for member in range(5)]


def test_a_member_without_items_in_a_batch_stays_as_it_is() -> None:
    model = learner()
    values, label = batch()
    label[:, 1] = 2

    model(values, label, torch.Generator().manual_seed(0)).backward()

    moved = [bool(gradient.any()) for gradient in gradients(model)]
    assert moved == [True, True, False, True, True]


def test_items_of_no_fold_are_learned_by_all() -> None:
    model = learner()
    values, label = batch()
    label[:, 1] = -1

    model(values, label, torch.Generator().manual_seed(0)).backward()

    assert all(gradient.any() for gradient in gradients(model))


@pytest.mark.parametrize("factor", [0.85, 1.18])
def test_a_stretched_spectrum_has_its_peak_where_the_faster_machine_has_it(factor: float) -> None:
    values = torch.zeros(1, N_BINS)
    values[0, 200] = 1.0

    peak = stretched(values, factor).argmax().item()

    assert peak == pytest.approx(200 * factor, abs=1)


def test_beyond_the_last_bin_a_stretched_spectrum_keeps_its_value() -> None:
    values = torch.arange(float(N_BINS))[None]

    assert (stretched(values, 0.85)[0, 440:] == N_BINS - 1).all()
    assert stretched(values, 1.0) is values


def test_items_are_read_once_for_each_clip(
    small_clips: dict[str, tuple[Clip, ...]],
) -> None:
    first, second = small_clips["fan"][:2]
    items = [Item(first, "near", 4, 1), Item(first, "far", 5, 1), Item(second, "near", 4, 2)]
    sizes = []

    def count(audio: torch.Tensor) -> torch.Tensor:
        sizes.append(len(audio))
        return torch.zeros(len(audio), N_STATISTICS, N_BINS)

    found = read_statistics(items, count, 20_000)

    assert sizes == [2, 1]
    assert [row.tolist() for _, row in (found[i] for i in range(3))] == [[4, 1], [5, 1], [4, 2]]


def test_training_learns_and_can_be_loaded(small_data: Path, tmp_path: Path) -> None:
    run, tasks = new_run(tmp_path / "run", small_data, systems=("system5",), ltas={"epochs": 6})
    losses: list[float] = []

    trained = train_network(
        run,
        "ltas",
        tasks["ltas"].items,
        device=torch.device("cpu"),
        on_epoch=lambda log: losses.append(log.loss),
    )

    assert losses[-1] < 0.9 * losses[0]
    audio = torch.from_numpy(machine_noise(120.0, seed=0)[None, :1]).float()
    assert load_learner(run, "ltas").embed(audio).equal(trained.embed(audio))
