"""Which systems a bundle holds, and what is left of a system without some of its parts.

A larger system's fusion holds those of the systems that it is made of: sums inside a sum
are fitted first and know nothing of the sum around them
(:mod:`edge_asd_export.calibration.fit_fusion`). So one bundle of the
largest gives the scores of all of them, as bundles of their own would.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from edge_asd.bundle.manifest import FusionSpec, Manifest, TermSpec
from edge_asd.bundle.system import SYSTEMS, Branch, System, WeightedSum

__all__ = [
    "Ablation",
    "Fusions",
    "ablations",
    "contained_systems",
    "contains",
    "labels_of",
    "largest",
    "networks_of",
    "precision_of",
    "restricted",
]

Fusions = Mapping[str, FusionSpec]  # by machine

_TOGETHER = " + "


@dataclass(frozen=True, slots=True)
class Ablation:
    """A system with some of its models and microphones, or with all of them."""

    system: str
    models: str  # such as "beats", or "beats + fkie"
    microphones: str  # such as "near", or "near + far"
    fusions: Fusions


def contains(larger: System, smaller: System) -> bool:
    """Whether the fusion of one system is, or is a part of, that of another.

    Extractors must be scored alike too: the two baselines share a network and are two systems.
    """
    weighted = smaller.fusion
    part = weighted.parts[0] if len(weighted.parts) == 1 else weighted
    scored_alike = all(
        larger.scorers.get(extractor) == smaller.scorers.get(extractor)
        for extractor in smaller.extractors
    )
    return scored_alike and part in _parts(larger.fusion)


def largest(systems: Collection[System]) -> tuple[System, ...]:
    """Those of the systems that no other one contains."""
    return tuple(
        system
        for system in systems
        if not any(other != system and contains(other, system) for other in systems)
    )


def contained_systems(manifest: Manifest) -> dict[str, Fusions]:
    """The fusion of every system that a bundle holds, by system and machine.

    The systems that the bundle's own contains come first, then its own.
    """
    found: dict[str, Fusions] = {}
    own = SYSTEMS.get(manifest.system)
    for system in SYSTEMS.values() if own else ():
        if own and system != own and contains(own, system):
            branches = {branch.name for branch in system.branches}
            parts = {
                name: part
                for name, machine in manifest.machines.items()
                if (part := _part(machine.fusion, branches))
            }
            if len(parts) == len(manifest.machines):
                found[system.name] = parts
    whole = {name: machine.fusion for name, machine in manifest.machines.items()}
    return found | {manifest.system: whole}


def ablations(manifest: Manifest) -> tuple[Ablation, ...]:
    """What is left of the bundle's systems with each model and each microphone alone.

    Every combination of one or all models with one or all microphones; the last one is the
    whole system. A system inside another one that is shown is not shown again, and one that
    standardises its parts is not shown at all: its statistics are those of whole parts, and
    leaving out a part leaves another system of the bundle.
    """
    held = contained_systems(manifest)
    shown = largest([SYSTEMS[name] for name in held if name in SYSTEMS and not _standardises(name)])
    return tuple(
        Ablation(
            system.name,
            models,
            microphones,
            {
                machine: kept
                for machine, fusion in held[system.name].items()
                if (kept := restricted(fusion, branches))
            },
        )
        for system in shown
        if len(system.branches) > 1
        for models, microphones, branches in _combinations(system)
    )


def restricted(fusion: FusionSpec, keep: Collection[str]) -> FusionSpec | None:
    """The sum over some of its branches, or None when none is left.

    The weights of what is left of each sum are scaled to one; if they were all zero, they
    become equal. Nothing is fitted.
    """
    parts = [(part, term) for term in fusion.terms if (part := _kept(term.of, keep)) is not None]
    if not parts:
        return None
    total = sum(term.weight for _, term in parts)
    return fusion.model_copy(
        update={
            "terms": tuple(
                term.model_copy(
                    update={"of": part, "weight": term.weight / total if total else 1 / len(parts)}
                )
                for part, term in parts
            )
        }
    )


def labels_of(fusion: FusionSpec) -> tuple[str, ...]:
    """Which labels chose weights of a sum or of those nested in it, each once."""
    own = [fusion.labels] if fusion.labels else []
    nested = [term.of for term in fusion.terms if isinstance(term.of, FusionSpec)]
    return tuple(dict.fromkeys([*own, *(label for part in nested for label in labels_of(part))]))


def networks_of(manifest: Manifest, fusions: Fusions) -> tuple[str, ...]:
    """What was trained for the branches of some fusions, such as ``beats-mini``."""
    return tuple(
        dict.fromkeys(manifest.extractors[name].network for _, name in _used(manifest, fusions))
    )


def precision_of(manifest: Manifest, fusions: Fusions) -> str:
    """Precision of the encoders behind some fusions: of all, or of each extractor."""
    by_extractor: dict[str, dict[str, None]] = {}
    for extractor, name in _used(manifest, fusions):
        precision = manifest.extractors[name].encoder.precision
        by_extractor.setdefault(extractor, {})[precision] = None
    listed = {extractor: "/".join(sorted(found)) for extractor, found in by_extractor.items()}
    if len(set(listed.values())) == 1:
        return next(iter(listed.values()))
    return ", ".join(f"{extractor} {precision}" for extractor, precision in listed.items())


def _parts(weighted: WeightedSum) -> Iterator[str | WeightedSum]:
    """A sum and everything below it."""
    yield weighted
    for part in weighted.parts:
        if isinstance(part, WeightedSum):
            yield from _parts(part)
        else:
            yield part


def _part(fusion: FusionSpec, branches: set[str]) -> FusionSpec | None:
    """The sum within a fusion over exactly these branches; None when there is none."""
    if fusion.branches() == branches:
        return fusion
    for term in fusion.terms:
        if isinstance(term.of, FusionSpec):
            if part := _part(term.of, branches):
                return part
        elif {term.of} == branches:
            return FusionSpec(terms=(TermSpec(of=term.of, weight=1.0),), method="one branch")
    return None


def _standardises(system: str) -> bool:
    return any(
        isinstance(part, WeightedSum) and part.standardise
        for part in _parts(SYSTEMS[system].fusion)
    )


def _combinations(system: System) -> Iterator[tuple[str, str, list[str]]]:
    """Models, microphones and branches of every ablation of a system, the whole one last."""
    views = tuple(dict.fromkeys(branch.view for branch in system.branches))
    for models in _each_and_all(system.extractors):
        for microphones in _each_and_all(views):
            wanted = [Branch(model, view).name for model in models for view in microphones]
            have = {branch.name for branch in system.branches}
            if have.issuperset(wanted):
                yield _TOGETHER.join(models), _TOGETHER.join(microphones), wanted


def _each_and_all(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(name,) for name in names] + ([names] if len(names) > 1 else [])


def _kept(part: str | FusionSpec, keep: Collection[str]) -> str | FusionSpec | None:
    if isinstance(part, FusionSpec):
        return restricted(part, keep)
    return part if part in keep else None


def _used(manifest: Manifest, fusions: Fusions) -> Iterator[tuple[str, str]]:
    """Extractor and its entry in the manifest, for every machine and branch of the fusions."""
    for machine, fusion in fusions.items():
        needed = fusion.branches()
        for branch in manifest.branches:
            if branch.name in needed:
                yield branch.extractor, manifest.extractor_name(machine, branch.extractor)
