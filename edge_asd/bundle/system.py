"""Detection systems as data: branches, and how branch scores are fused.

Training, export, evaluation and the device all read this table; a new system is a new row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge_asd.audio.view import view_named
from edge_asd.errors import UsageError

__all__ = ["SYSTEMS", "Branch", "System", "WeightedSum", "system_named"]


@dataclass(frozen=True, slots=True)
class Branch:
    """One extractor looking at one view of the recording."""

    extractor: str
    view: str

    def __post_init__(self) -> None:
        view_named(self.view)

    @property
    def name(self) -> str:
        """``extractor@view``, the key of this branch in bundles, events and tables."""
        return f"{self.extractor}@{self.view}"

    @classmethod
    def parse(cls, name: str) -> Branch:
        """Read ``extractor@view`` back."""
        extractor, _, view = name.partition("@")
        return cls(extractor, view)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """How branch scores, or other sums, become one score.

    ``over`` says what the parts are. The weights of ``channels`` (near first) and of
    ``models`` are chosen when the bundle is built, each by a rule of its own; ``views`` and
    ``systems`` count equally. ``standardise`` turns each part into a z-score of its normal scores
    before it is weighted.
    """

    parts: tuple[str | WeightedSum, ...]
    over: Literal["channels", "models", "views", "systems"] = "channels"
    standardise: bool = False

    def branches(self) -> Iterator[str]:
        """Names of the branches below this sum, in order."""
        for part in self.parts:
            if isinstance(part, WeightedSum):
                yield from part.branches()
            else:
                yield part


@dataclass(frozen=True, slots=True)
class System:
    """A named set of branches and the rule that makes one score of theirs."""

    name: str
    summary: str
    fusion: WeightedSum
    # How an extractor's branches are scored, where the system does not leave that open;
    # names of the scorers of the workstation.
    scorers: Mapping[str, str] = field(default_factory=dict)
    # Views that an extractor is trained on, where they are not those of its branches.
    trained_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def branches(self) -> tuple[Branch, ...]:
        return tuple(Branch.parse(name) for name in self.fusion.branches())

    def branches_of(self, extractor: str) -> tuple[Branch, ...]:
        """Branches that an extractor serves."""
        return tuple(branch for branch in self.branches if branch.extractor == extractor)

    @property
    def extractors(self) -> tuple[str, ...]:
        """Each extractor once, in the order of the branches."""
        return tuple(dict.fromkeys(branch.extractor for branch in self.branches))

    def training_views(self, extractor: str) -> tuple[str, ...]:
        """Views of the clips that an extractor is trained on."""
        own = tuple(branch.view for branch in self.branches_of(extractor))
        return self.trained_on.get(extractor, own)


_FKIE = WeightedSum(("fkie@near", "fkie@far"))
_BEATS = WeightedSum(("beats@near", "beats@far"))
_SYSTEM1 = WeightedSum((_BEATS, _FKIE), over="models")
_CENTRES = {"resnet": "centres"}

SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        System("system1", "BEATs and the FKIE CNN, each near and far", _SYSTEM1),
        System(
            "system2",
            "a ResNet on both microphones at once",
            WeightedSum(("resnet@stereo",)),
            _CENTRES,
        ),
        System(
            "system3",
            "mean of the standardised scores of system1 and system2",
            WeightedSum((_SYSTEM1, "resnet@stereo"), over="systems", standardise=True),
            _CENTRES,
        ),
        System("system4", "the FKIE CNN, near and far", _FKIE),
        System(
            "system4-clean",
            "the FKIE CNN, near and near without the noise of far",
            WeightedSum(("fkie@near", "fkie@clean"), over="views"),
            trained_on={"fkie": ("near", "far")},
        ),
        System(
            "system5",
            "spectrum networks, near and near without the noise of far",
            WeightedSum(("ltas@near", "ltas@clean"), over="views"),
            trained_on={"ltas": ("near", "far")},
        ),
        System(
            "baseline-mse",
            "the challenge's autoencoder, mean squared error",
            WeightedSum(("autoencoder@near",)),
            {"autoencoder": "mse"},
        ),
        System(
            "baseline-mahala",
            "the challenge's autoencoder, selective Mahalanobis distance",
            WeightedSum(("autoencoder@near",)),
            {"autoencoder": "mahala"},
        ),
    )
}


def system_named(name: str) -> System:
    """Return the system called `name`.

    Raises
    ------
    UsageError
        When there is none; the message lists those there are.
    """
    try:
        return SYSTEMS[name]
    except KeyError:
        raise UsageError(f"unknown system {name!r}; known systems: {', '.join(SYSTEMS)}") from None
