"""Which learner trains which extractor of :mod:`edge_asd.bundle.system`; a new one is a new row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_asd.errors import UsageError
from edge_asd_export.calibration.scoring import References
from edge_asd_export.extractors.autoencoder.learner import AutoencoderLearner
from edge_asd_export.extractors.beats.learner import BeatsLearner, with_published_sizes
from edge_asd_export.extractors.fkie.learner import FkieLearner
from edge_asd_export.extractors.resnet.learner import ResnetLearner
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.learner import Learner, Task
from edge_asd_export.training.settings import FitSettings

__all__ = ["RECIPES", "Recipe", "recipe_named", "recipe_of"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an extractor comes into being."""

    build: Callable[[Task, TrainConfig], Learner]
    settings: Callable[[TrainConfig], FitSettings]
    references: tuple[References, ...] = ("clips",)  # what a score can compare with
    per_machine: bool = False  # one network for each machine instead of one for all
    # What the trained network is called in tables; None: by the extractor's name.
    variant: Callable[[TrainConfig], str] | None = None
    # Completes the settings of a new run, so that its folder depends on no other file.
    prepare: Callable[[TrainConfig], TrainConfig] | None = None


RECIPES: Mapping[str, Recipe] = {
    "fkie": Recipe(lambda task, config: FkieLearner(task, config.fkie), lambda c: c.fkie),
    "beats": Recipe(
        lambda task, config: BeatsLearner(task, config.beats),
        lambda c: c.beats,
        references=("clips", "centres"),
        variant=lambda c: c.beats.variant,
        prepare=lambda c: c.model_copy(update={"beats": with_published_sizes(c.beats)}),
    ),
    "resnet": Recipe(
        lambda task, config: ResnetLearner(task, config.resnet),
        lambda c: c.resnet,
        references=("clips", "centres"),
    ),
    "autoencoder": Recipe(
        lambda task, config: AutoencoderLearner(task, config.autoencoder),
        lambda c: c.autoencoder,
        references=("none",),
        per_machine=True,
    ),
}


def recipe_named(name: str) -> Recipe:
    """Return the recipe of an extractor.

    Raises
    ------
    UsageError
        When no recipe has this name.
    """
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(RECIPES)
        raise UsageError(f"no recipe for extractor {name!r}; known extractors: {known}") from None


def recipe_of(network: str) -> Recipe:
    """Return the recipe of a network of a run: of its extractor, be it for one machine or all."""
    return recipe_named(network.partition("/")[0])
