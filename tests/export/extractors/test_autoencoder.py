"""The autoencoder: frame vectors, the network and its scores, the whitening, the training."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from export.conftest import RATE_HZ, machine_noise, write_clip
from torch import Tensor
from torch.utils.data import DataLoader

from edge_asd.errors import DataError
from edge_asd_export.data.clips import scan
from edge_asd_export.extractors.autoencoder.learner import AutoencoderLearner, AutoencoderSettings
from edge_asd_export.extractors.autoencoder.network import WIDTHS, Autoencoder, frame_vectors
from edge_asd_export.extractors.autoencoder.vector_set import VectorSet
from edge_asd_export.extractors.autoencoder.whitening import domain_whitening, whitening_matrix
from edge_asd_export.training.learner import Task
from edge_asd_export.training.training_set import ClassName, Item, training_items

N_MELS = 4  # of vectors made by hand
CLIP_SAMPLES = 8_192
FRAMES_PER_CLIP = 1 + CLIP_SAMPLES // 512
VECTORS_PER_CLIP = FRAMES_PER_CLIP - 4
FLOAT32 = 1e-4  # relative, of sums over thousands of float32 products
# Two stacks of matrix products, in another order, of levels of 50 dB.
FOLDING_DB = 1e-3


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_clips() -> VectorSet:
    """Clips of 7 and 6 frames; band m of frame i is 10 * i + m. The second is of the target."""
    frames = 10.0 * torch.arange(13)[:, None] + torch.arange(N_MELS)
    starts = torch.tensor([0, 1, 2, 7, 8])
    return VectorSet(frames, starts, torch.tensor([False, False, False, True, True]))


def trained_network(n_mels: int = 8) -> Autoencoder:
    """A network whose normalisations are not the identity, in evaluation mode."""
    torch.manual_seed(0)
    network = Autoencoder(n_mels)
    for _ in range(20):
        network.reconstruct(random(32, 5 * n_mels))
    network.whitening.copy_(random(2, n_mels, n_mels, seed=1))
    return network.eval()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Eight clips of the source and three of the target, near."""
    root = tmp_path_factory.mktemp("fan-data")
    for domain, n_clips in (("source", 8), ("target", 3)):
        for i in range(n_clips):
            name = f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"
            write_clip(root / "fan" / "train" / name, machine_noise(120.0, i)[:, :CLIP_SAMPLES])
    return training_items(scan([root]).machines["fan"].train, ["near"], view_classes=True)[0]


def learner(n_samples: int = CLIP_SAMPLES) -> AutoencoderLearner:
    torch.manual_seed(0)
    classes = tuple(ClassName("fan", domain, "", "near") for domain in ("source", "target"))
    return AutoencoderLearner(
        Task(n_samples, 1, RATE_HZ, classes),
        AutoencoderSettings(batch_size=32, learning_rate=0.01),
    )


def train(model: AutoencoderLearner, items: list[Item], n_epochs: int) -> list[float]:
    data = model.dataset(items, seed=0)
    optimizer = model.optimizer()
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(n_epochs):
        for vectors, label in DataLoader(data, 32, shuffle=True, generator=generator):
            loss = model(vectors, label, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    return losses


def test_layers_have_as_many_parameters_as_the_baseline() -> None:
    widths = (640, *WIDTHS, 640)
    linear = sum(n_in * n_out + n_out for n_in, n_out in pairwise(widths))
    normalisation = 2 * sum(WIDTHS)

    n = sum(parameter.numel() for parameter in Autoencoder(128).parameters())

    assert n == linear + normalisation == 267_928


def test_vectors_are_five_frames_one_after_the_other() -> None:
    frames = random(2, 1, N_MELS, 9)

    vectors = frame_vectors(frames)

    assert vectors.shape == (2, 5, 5 * N_MELS)
    assert torch.equal(vectors[1, 3, :N_MELS], frames[1, 0, :, 3])
    assert torch.equal(vectors[1, 3, -N_MELS:], frames[1, 0, :, 7])


def test_vectors_in_training_are_those_of_the_device() -> None:
    frames = random(1, 1, N_MELS, 9)
    clip = VectorSet(frames[0, 0].T, torch.arange(5), torch.zeros(5, dtype=torch.bool))

    (vectors, _) = next(iter(DataLoader(clip, batch_size=5)))

    assert torch.equal(vectors, frame_vectors(frames)[0])


def test_no_vector_spans_two_clips() -> None:
    (vectors, _) = next(iter(DataLoader(two_clips(), batch_size=5)))

    first_band = vectors[:, ::N_MELS]
    assert first_band[:, 0].tolist() == [0, 10, 20, 70, 80]
    assert (first_band.diff(dim=1) == 10).all()


def test_batch_is_gathered_in_the_order_of_its_numbers() -> None:
    data = two_clips()

    batch = data.__getitems__([4, 0])

    assert all(torch.equal(batch[i][0], data[index][0]) for i, index in enumerate([4, 0]))


@pytest.mark.parametrize("seed", [0, 1])
def test_split_parts_the_vectors_and_follows_the_seed(seed: int) -> None:
    data = two_clips()

    def first_frames(part: VectorSet) -> list[float]:
        return [part[i][0][0].item() for i in range(len(part))]

    training, validation = (first_frames(part) for part in data.split(0.3, seed))

    assert sorted(training + validation) == [0, 10, 20, 70, 80]
    assert len(validation) == 2
    assert (training, validation) == tuple(first_frames(part) for part in data.split(0.3, seed))


def test_batches_tell_the_domain_of_each_vector() -> None:
    training, _ = two_clips().split(0.2, seed=0)

    for vectors, is_target in training.batches(3):
        assert torch.equal(vectors[:, 0] >= 70, is_target)


def test_folding_the_normalisations_changes_no_score() -> None:
    network = trained_network()
    frames = 50 + 10 * random(3, 1, 8, 20)

    folded = network.folded()

    assert not any(isinstance(layer, torch.nn.BatchNorm1d) for layer in folded.layers)
    torch.testing.assert_close(folded(frames), network(frames), rtol=FLOAT32, atol=FOLDING_DB)


def test_scores_are_the_squared_error_and_the_distance_of_the_mean_residual() -> None:
    network = trained_network()
    frames = random(3, 1, 8, 20)
    vectors = frame_vectors(frames).double()
    made = network.double().reconstruct(vectors.flatten(0, 1)).view_as(vectors)
    residual = (vectors - made).detach().numpy()
    precision = [w.T @ w for w in network.whitening.numpy()]
    mean = residual.reshape(3, -1, 8).mean(axis=1)  # over all frames of all vectors

    scores = network.float()(frames).detach().numpy()

    expected = [min(r @ p @ r for p in precision) for r in mean]
    np.testing.assert_allclose(scores[:, 0], (residual**2).mean(axis=(1, 2)), rtol=FLOAT32)
    np.testing.assert_allclose(scores[:, 1], expected, rtol=FLOAT32)


def test_whitened_norm_is_the_mahalanobis_distance() -> None:
    mixing = random(6, 6).double()
    covariance = mixing @ mixing.T + torch.eye(6)
    residual = random(6, seed=1).double()

    whitened = whitening_matrix(covariance).double() @ residual

    expected = residual @ torch.linalg.inv(covariance) @ residual
    assert whitened.square().sum().item() == pytest.approx(expected.item(), rel=FLOAT32)


@pytest.mark.parametrize("scale", [0.0, 1.0], ids=["silence", "one direction"])
def test_singular_covariance_still_whitens(scale: float) -> None:
    direction = scale * torch.ones(6, dtype=torch.float64)

    whitening = whitening_matrix(direction.outer(direction))

    assert whitening.isfinite().all()
    assert torch.linalg.matrix_rank(whitening) == 6


def test_whitening_follows_the_domains_as_the_public_code_does() -> None:
    residuals = random(12, 5 * N_MELS)
    is_target = torch.arange(12) >= 9

    source, target = domain_whitening([(residuals, is_target)], N_MELS).double()

    for whitening, own in ((source, residuals[:9]), (target, residuals[9:])):
        rows = own.reshape(-1, N_MELS).double().numpy()
        covariance = np.cov(rows.T) * (len(rows) - 1) / (len(own) - 1)
        precision = (whitening.T @ whitening).numpy()
        np.testing.assert_allclose(precision, np.linalg.inv(covariance), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("is_target", [False, True])
def test_domain_without_clips_takes_the_covariance_of_the_other(is_target: bool) -> None:
    residuals = random(12, 5 * N_MELS)

    source, target = domain_whitening([(residuals, torch.full((12,), is_target))], N_MELS)

    assert torch.equal(source, target)
    assert not torch.equal(source, torch.eye(N_MELS))


def test_clips_give_their_vectors_but_for_the_validation_tenth(items: list[Item]) -> None:
    data = learner().dataset(items, seed=0)

    n_vectors = len(items) * VECTORS_PER_CLIP
    assert len(data) == n_vectors - -(-n_vectors // 10)


def test_training_lowers_the_error_of_vectors_it_does_not_see(items: list[Item]) -> None:
    model = learner()
    model.dataset(items, seed=0)
    before = model.log_figures()["validation_loss"]

    losses = train(model, items, n_epochs=40)

    assert losses[-1] < losses[0] / 2
    assert model.log_figures()["validation_loss"] < before / 2


def test_log_figures_leave_the_training_mode_alone(items: list[Item]) -> None:
    model = learner().train()
    model.dataset(items, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    model.log_figures()

    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_no_validation_loss_is_told_before_there_are_vectors() -> None:
    assert learner().log_figures() == {}


def test_finished_whitening_survives_the_checkpoint(items: list[Item]) -> None:
    model, restored = learner(), learner()
    train(model, items, n_epochs=1)

    model.finish(items)
    restored.load_state_dict(model.state_dict())

    whitening = restored.extractor.encoder.get_buffer("whitening")
    assert torch.equal(whitening, model.extractor.encoder.get_buffer("whitening"))
    assert not torch.equal(whitening[0], whitening[1])
    assert not torch.equal(whitening[0], torch.eye(128))


def test_clips_shorter_than_a_vector_are_refused() -> None:
    with pytest.raises(DataError, match="at least 2048 samples"):
        learner(n_samples=2047)


def test_one_clip_shorter_than_a_vector_is_named(tmp_path: Path) -> None:
    for i in range(2):
        name = f"section_00_source_train_normal_{i:04d}_noAttribute.wav"
        write_clip(tmp_path / "fan" / "train" / name, machine_noise(120.0, i)[:, :1_000])
    clips = scan([tmp_path]).machines["fan"].train
    short, _ = training_items(clips, ["near"], view_classes=True)

    with pytest.raises(DataError, match=r"normal_0000.*has 2 frames"):
        learner().dataset(short, seed=0)
