"""Training the ResNet: what is drawn, what is averaged, what is exported."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from edge_asd.bundle.extractor_spec import SegmentSpec
from edge_asd_export.extractors.resnet.learner import ResnetLearner, ResnetSettings
from edge_asd_export.training.learner import Task
from edge_asd_export.training.training_set import ClassName

N_SAMPLES = 20_480  # 41 frames
CLASSES = tuple(ClassName("fan", "source", f"speed_{i}", "") for i in range(3))
SMALL = ResnetSettings(
    width=4, crop_frames=32, time_mask_frames=4, epochs=5, batch_size=6, learning_rate=0.01
)


def learner(settings: ResnetSettings = SMALL, n_samples: int = N_SAMPLES) -> ResnetLearner:
    torch.manual_seed(0)
    return ResnetLearner(Task(n_samples, 2, 16_000, CLASSES), settings)


def batch() -> tuple[Tensor, Tensor]:
    """Two clips (2, N_SAMPLES) of each class: hum of three pitches in noise."""
    label = torch.arange(6) % 3
    time_s = torch.arange(N_SAMPLES) / 16_000
    hum = torch.sin(2 * torch.pi * 300 * 3 ** label[:, None, None] * time_s)
    noise = torch.randn(6, 2, N_SAMPLES, generator=torch.Generator().manual_seed(0))
    return 0.1 * hum + 0.02 * noise, label


def train(model: ResnetLearner, n_steps: int) -> list[float]:
    audio, label = batch()
    optimizer = model.optimizer()
    losses = []
    for step in range(n_steps):
        loss = model(audio, label, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step()
        losses.append(loss.item())
    return losses


def test_the_loss_falls() -> None:
    losses = train(learner(SMALL.model_copy(update={"mixup": 0.0})), 25)

    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_loss_is_a_function_of_the_generator() -> None:
    audio, label = batch()
    model = learner()

    first, again, other = (
        model(audio, label, torch.Generator().manual_seed(seed)).item() for seed in (1, 1, 2)
    )

    assert first == again != other


def test_what_ships_is_the_average_of_weights_and_statistics() -> None:
    model = learner(SMALL.model_copy(update={"ema_decay": 0.15}))  # below the warm-up's 2 / 11
    expected: dict[str, Tensor] = {}
    audio, label = batch()
    optimizer = model.optimizer()

    for step in range(4):
        model(audio, label, torch.Generator().manual_seed(step)).backward()
        optimizer.step()
        model.after_step()
        state = copy.deepcopy(model.extractor.encoder.state_dict())
        expected = {
            key: torch.lerp(value, expected[key], 0.15) if step and value.is_floating_point()
            else value
            for key, value in state.items()
        }  # fmt: skip

    exported = model.inference_extractor().encoder.state_dict()
    for key, value in expected.items():
        if value.is_floating_point():
            torch.testing.assert_close(exported[key], value, msg=key)
    trained = model.extractor.encoder.state_dict()
    assert not torch.equal(exported["stem.0.weight"], trained["stem.0.weight"])
    assert not torch.equal(exported["stem.1.running_mean"], trained["stem.1.running_mean"])


def test_the_first_weights_fade_within_tens_of_steps() -> None:
    model = learner(SMALL.model_copy(update={"ema_decay": 0.999}))
    model.after_step()
    with torch.no_grad():
        for parameter in model.extractor.encoder.parameters():
            parameter.fill_(1.0)

    for _ in range(60):
        model.after_step()

    exported = model.inference_extractor().encoder.state_dict()["stem.0.weight"]
    torch.testing.assert_close(exported, torch.ones_like(exported), rtol=0, atol=1e-4)


def test_centres_are_averaged_and_of_unit_norm() -> None:
    model = learner()
    train(model, 3)

    centres = model.centres()

    assert centres.shape == (3, 16)
    assert not centres.requires_grad
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(3))
    assert not torch.equal(centres, model.head.centres)


def test_the_average_is_not_trained_and_comes_back_from_a_checkpoint() -> None:
    model = learner()
    train(model, 3)
    trained = {id(p) for group in model.optimizer().param_groups for p in group["params"]}

    restored = learner()
    restored.load_state_dict(model.state_dict())

    assert trained.isdisjoint(id(p) for p in model.average.parameters())
    assert len(trained) == len([*model.extractor.encoder.parameters(), *model.head.parameters()])
    torch.testing.assert_close(restored.centres(), model.centres(), rtol=0, atol=0)
    train(model, 1)
    train(restored, 1)
    torch.testing.assert_close(restored.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_the_exported_extractor_gives_one_embedding_per_window() -> None:
    exported = learner().inference_extractor().eval()

    (log_mel,) = exported.features(batch()[0])
    embeddings = exported.encoder(log_mel[..., :32])

    assert log_mel.shape == (6, 2, 128, 41)
    assert exported.segments == SegmentSpec(n_frames=32, hop_frames=1)
    assert embeddings.shape == (6, exported.embedding_dim) == (6, 16)


def test_shorter_clips_are_tiled_to_one_window() -> None:
    model = learner(ResnetSettings(width=4), n_samples=96_000)

    (log_mel,) = model.extractor.features(torch.randn(1, 2, model.extractor.n_samples))

    assert log_mel.shape == (1, 2, 128, 256)


def test_the_learning_rate_falls_after_every_epoch() -> None:
    model = learner(SMALL.model_copy(update={"learning_rate_decay": 0.5}))
    optimizer = model.optimizer()
    schedule = model.schedule(optimizer, n_steps=15)
    rates = []
    for _ in range(15):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()

    assert rates[::3] == rates[1::3] == rates[2::3]
    assert rates[::3] == pytest.approx([0.01, 0.005, 0.0025, 0.00125, 0.000625])


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop_frames", 16), ("ema_decay", 1.0), ("mixup", 1.5), ("normalise", "none"), ("depth", 3)],
)
def test_impossible_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        ResnetSettings.model_validate({key: value})
