"""Which learner trains which extractor of :mod:`edge_asd.bundle.system`; a new one is a new row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_asd.errors import UsageError
from edge_asd_export.calibration.scoring import References
from edge_asd_export.extractors.autoencoder.learner import AutoencoderLearner
from edge_asd_export.extractors.beats.learner import BeatsLearner
from edge_asd_export.extractors.fkie.learner import FkieLearner
from edge_asd_export.extractors.ltas.learner import LtasLearner
from edge_asd_export.extractors.resnet.learner import ResnetLearner
from edge_asd_export.training.learner import Learner, Task

__all__ = ["RECIPES", "Recipe", "recipe_of"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an extractor comes into being; its settings are the configuration's of its name."""

    learner: Callable[[Task, Any], Learner]  # of these settings
    references: tuple[References, ...] = ("clips",)  # what a score can compare with
    per_machine: bool = False  # one network for each machine instead of one for all
    is_ensemble: bool = False  # of members that are each trained without a fold


RECIPES: Mapping[str, Recipe] = {
    "ltas": Recipe(LtasLearner, is_ensemble=True),
    "fkie": Recipe(FkieLearner),
    "beats": Recipe(BeatsLearner, references=("clips", "centres")),
    "resnet": Recipe(ResnetLearner, references=("clips", "centres")),
    "autoencoder": Recipe(AutoencoderLearner, references=("none",), per_machine=True),
}


def recipe_of(network: str) -> Recipe:
    """Return the recipe of an extractor, or of a network of it that is for one machine.

    Raises
    ------
    UsageError
        When no recipe has this name.
    """
    extractor = network.partition("/")[0]
    try:
        return RECIPES[extractor]
    except KeyError:
        known = ", ".join(RECIPES)
        raise UsageError(
            f"no recipe for extractor {extractor!r}; known extractors: {known}"
        ) from None
