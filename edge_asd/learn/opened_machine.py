"""A machine ready to be listened to: the bundle, and over it what was learned on site."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote

from edge_asd.alarm.promise import out_of_reach
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import MANIFEST_NAME, FileEntry, Manifest
from edge_asd.bundle.system import Branch
from edge_asd.drift.condition_index import NormalTail
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.errors import StateError, UsageError
from edge_asd.explain.normal_spectra import NormalSpectra
from edge_asd.learn.banks import site_banks, site_spectra
from edge_asd.learn.commissioning import CommissioningPlan
from edge_asd.learn.learned import BundleStamp, Learned
from edge_asd.learn.store import LearnedStore, learned_states
from edge_asd.scoring.bank_files import Search
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.extractor import Extractor
from edge_asd.signal.reference import SignalReference
from edge_asd.state.folder import StateFolder

__all__ = [
    "OpenedMachine",
    "bundle_stamp",
    "open_machine",
    "reach_warning",
    "require_same_bundle",
    "site_detector",
]


@dataclass(frozen=True, slots=True, eq=False)
class OpenedMachine:
    """What scores a machine, and what is known of its normal sound."""

    detector: Detector
    bundle_name: str
    like: str  # machine of the bundle whose networks it has
    learned: str | None = None  # version of what was learned on site; None: the bundle alone
    reference: SignalReference | None = None
    normal: NormalSummary | None = None
    spectra: NormalSpectra | None = None
    enrolment: str = ""  # which one; what was taught since does not change it
    taught: tuple[str, ...] = ()  # ids of alarms
    plan: CommissioningPlan | None = None  # under way: its scores judge nothing yet

    @property
    def commissioning(self) -> bool:
        """Whether it listens, and judges nothing yet."""
        return self.plan is not None

    @property
    def own_references(self) -> bool:
        """Whether it compares with other sound than the bundle's machine does."""
        return self.learned is not None or self.commissioning

    @property
    def scored_by(self) -> str:
        """What gives the scores: those of another bundle or version are not comparable."""
        return f"{self.bundle_name} {self.learned or ''}".rstrip()

    @property
    def normal_tail(self) -> NormalTail:
        """How rare its scores are among those of normal windows."""
        return NormalTail(self.detector.spec.threshold, self.normal)


def open_machine(
    bundle: Bundle,
    machine: str | None,
    *,
    threads: int = 1,
    search: Search = "auto",
    state: StateFolder | None = None,
) -> OpenedMachine:
    """Open a machine of the bundle, or one that was enrolled with it.

    What was learned on site takes precedence over the bundle.

    Parameters
    ----------
    machine : None: that of `state`, or the only one of the bundle
    state : of the same machine; None: the bundle alone

    Raises
    ------
    UsageError
        When neither bundle nor state know the machine; the message lists those they know.
    StateError
        When what was learned is damaged, or was learned with another bundle.
    BundleError
        When the bundle cannot be used.
    """
    store = LearnedStore(state) if state else None
    version = store.current if store else None
    learned = store.load(version) if store and version else None
    if learned is None:
        name = machine or (state.machine if state else None)
        _require_known(bundle, name, state)
        detector = bundle.detector(name, threads=threads, search=search)
        return OpenedMachine(
            detector,
            bundle.manifest.name,
            detector.machine,
            spectra=bundle.spectra(name),
            enrolment=f"{bundle.manifest.name} {bundle.manifest.created_utc}",
        )
    site = learned.site
    require_same_bundle(bundle, learned)
    return OpenedMachine(
        site_detector(bundle, learned, threads=threads, search=search),
        bundle.manifest.name,
        site.like,
        version,
        site.signal,
        site.normal,
        site_spectra(bundle, learned),
        _enrolment(learned),
        tuple(one.event for one in site.taught),
    )


def site_detector(
    bundle: Bundle,
    learned: Learned,
    *,
    threads: int = 1,
    search: Search = "auto",
    extractors: dict[str, Extractor] | None = None,
) -> Detector:
    """Load what scores windows by what was learned.

    Parameters
    ----------
    extractors : from :meth:`Bundle.extractors`, to share graphs
    """
    site = learned.site
    return bundle.detector_with(
        {
            branch: site_banks(bundle, learned, branch, search)
            for branch in bundle.manifest.reference_scorers
        },
        like=site.like,
        machine=site.machine,
        # Its banks are in the scorers.
        spec=bundle.manifest.machines[site.like].model_copy(
            update={
                "banks": {},
                "fusion": site.fusion,
                "threshold": site.threshold,
                "promise": site.promise,
            }
        ),
        extractors=extractors or bundle.extractors(site.like, threads=threads),
    )


def reach_warning(bundle: Bundle, learned: Learned) -> str | None:
    """Say that hardly any sound reaches the threshold that was learned; None where it does."""
    strange_score = site_detector(bundle, learned).strange_score()
    return out_of_reach(learned.site.threshold.threshold, strange_score)


def bundle_stamp(bundle: Bundle) -> BundleStamp:
    """Name and digest of a bundle, to know it again."""
    entry = FileEntry.of(bundle.path / MANIFEST_NAME)
    return BundleStamp(name=bundle.manifest.name, sha256=entry.sha256)


def require_same_bundle(bundle: Bundle, learned: Learned) -> None:
    """Check that something was learned with this bundle.

    Raises
    ------
    StateError
        When it was another, or what was learned is damaged and does not fit.
    """
    stamp, site = bundle_stamp(bundle), learned.site
    if stamp.sha256 != site.bundle.sha256:
        raise StateError(
            f"{site.machine!r} was learned with bundle {site.bundle.name!r} "
            f"({site.bundle.sha256[:12]}), this is {stamp.name!r} ({stamp.sha256[:12]}), whose "
            "networks hear differently: enrol again with 'edge-asd enroll', use the other "
            f"bundle, or forget with 'edge-asd forget --machine {quote(site.machine)} --to bundle'"
        )
    if misfit := _misfit(bundle.manifest, learned):
        raise StateError(
            f"what was learned of {site.machine!r} is damaged: {misfit}; enrol again, or go back "
            f"with 'edge-asd forget --machine {quote(site.machine)} --to bundle'"
        )


def _misfit(manifest: Manifest, learned: Learned) -> str | None:
    """Return what the bundle lacks, or has in another shape; None where all fits."""
    like = learned.site.like
    if like not in manifest.machines:
        return f"the bundle has no machine {like!r}"
    for name in manifest.reference_scorers:
        extractor = manifest.extractors[manifest.extractor_name(like, Branch.parse(name).extractor)]
        shape = extractor.members, extractor.embedding_dim
        for sound in (*learned.enrolled.values(), *learned.taught):
            if name not in sound.rows or sound.rows[name].shape[1:] != shape:
                return f"no references of {name} as its networks give them"
    return None


def _enrolment(learned: Learned) -> str:
    site = learned.site
    enrolled = [f"{domain} {one.utc}" for domain, one in sorted(site.enrolled.items())]
    return " ".join([site.bundle.name, *enrolled])


def _require_known(bundle: Bundle, name: str | None, state: StateFolder | None) -> None:
    known = bundle.manifest.machines
    if name is None or name in known:
        return
    here = [one.machine for one in learned_states(state.path.parent)] if state else []
    if name in here:
        raise UsageError(
            f"{bundle.path} does not know {name!r}, and no version of what was learned of it is in "
            f"use: choose one with 'edge-asd forget --machine {quote(name)} --to VERSION'"
        )
    learned = f"; learned on site: {', '.join(here)}" if here else ""
    raise UsageError(
        f"nothing knows machine {name!r}: {bundle.path} knows {', '.join(known)}{learned}; "
        "learn it with 'edge-asd enroll'"
    )
