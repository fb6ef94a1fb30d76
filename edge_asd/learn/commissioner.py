"""Commissioning of a machine by its own monitor: it listens for days, then judges by itself.

While it is under way no alarm is raised. Unusable windows never come here, a gap or a lost card
is waited for, and a restart goes on where the last run was. What was heard becomes an enrolment
in a thread of its own, which asks the monitor to take it over as ``edge-asd enroll`` does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from random import Random

from edge_asd.alarm.promise import sentence as promise_sentence
from edge_asd.bundle.bundle import Bundle
from edge_asd.control.control_socket import ask
from edge_asd.errors import EdgeAsdError, StateError, one_line
from edge_asd.events.event import Event, NoticeEvent
from edge_asd.events.fault import Report
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment, duration
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.learn.calibration import WindowPlace
from edge_asd.learn.commissioning import STRETCH_S, CommissioningFolder, CommissioningPlan
from edge_asd.learn.enrolment import (
    SiteGoal,
    base_for,
    deciding_windows,
    enrol,
    like_machine,
    untouched,
)
from edge_asd.learn.opened_machine import (
    OpenedMachine,
    bundle_stamp,
    open_machine,
    reach_warning,
    site_detector,
)
from edge_asd.learn.recording import WindowSound, measure_window
from edge_asd.learn.store import LearnedStore
from edge_asd.scoring.bank_files import Search
from edge_asd.scoring.stream import ScoredWindow
from edge_asd.state.folder import StateFolder
from edge_asd.state.writer import StateWriter

__all__ = ["Commissioner", "open_or_commission", "sentence"]

_SAVE_EVERY_S = 900.0  # of the stream: memory cards wear out
_AGAIN_AFTER_S = 3600.0  # of listening, where nothing could be learned

_LEARNED_WITHIN_S = 5.0  # of an end of the monitor; later, the next start begins to learn anew
_WRITTEN_WITHIN_S = 60.0

_log = logging.getLogger(__name__)


def open_or_commission(
    bundle: Bundle,
    machine: str | None,
    *,
    threads: int = 1,
    search: Search = "auto",
    state: StateFolder | None = None,
) -> OpenedMachine:
    """Open a machine for its monitor: to judge it, or to listen while it is commissioned.

    Parameters and errors are those of :func:`edge_asd.learn.opened_machine.open_machine`.
    """
    folder = CommissioningFolder(state) if state else None
    plan = folder.plan if folder else None
    if folder is None or plan is None:
        return open_machine(bundle, machine, threads=threads, search=search, state=state)
    stamp = bundle_stamp(bundle)
    known = plan.like if plan.like in bundle.manifest.machines else None
    if plan.bundle_sha256 != stamp.sha256 or known is None:
        like = like_machine(bundle, plan.machine, known)
        _log.warning(
            "commissioning of %s begins anew, with the networks and window length of %s: this is "
            "another bundle, %s",
            plan.machine, like, stamp.name,
        )  # fmt: skip
        anew = {"bundle_sha256": stamp.sha256, "like": like, "heard_s": 0.0, "run": 0}
        plan = plan.model_copy(update=anew)
        folder.begin(plan)
    detector = site_detector(
        bundle, untouched(bundle, plan.machine, plan.like), threads=threads, search=search
    )
    # What the machine of the bundle keeps is nothing to this one.
    detector.spec = detector.spec.model_copy(update={"promise": None})
    return OpenedMachine(
        detector,
        bundle.manifest.name,
        plan.like,
        enrolment=f"commissioning {plan.begun.isoformat()}",
        plan=plan,
    )


def sentence(plan: CommissioningPlan) -> str:
    """Say how far a commissioning is."""
    return (
        f"heard {duration(plan.heard_s)} of {duration(plan.watch_s)}; "
        f"{duration(plan.left_s)} are left"
    )


class Commissioner(Watcher):
    """Keeps windows while a commissioning is under way, and ends it with an enrolment.

    Parameters
    ----------
    opened : from :func:`open_or_commission`
    board : gets ``commissioning_left_s`` of the status
    writer : of the files of `state`
    report : is given the fault of what cannot be learned
    hop_s : from window to window
    utc : the time of day
    on_armed : called once what was heard is in use
    """

    def __init__(
        self,
        bundle: Bundle,
        state: StateFolder,
        opened: OpenedMachine,
        board: StatusBoard,
        *,
        writer: StateWriter,
        report: Report,
        hop_s: float,
        utc: Callable[[], datetime],
        on_armed: Callable[[], None] = lambda: None,
    ) -> None:
        self._bundle = bundle
        self._state = state
        self._writer = writer
        self._folder = CommissioningFolder(state, writer.put)
        self._board = board
        self._hop_s = hop_s
        self._utc = utc
        self._on_armed = on_armed
        self._failed = FaultLatch(report, "part", subject="commissioning")
        self._thread: threading.Thread | None = None
        self._error: str | None = None  # of the thread
        self._learned = False  # by the thread, though it could not be taken over yet
        self._random = Random(0)
        self._due_s = 0.0  # of usable sound, when it is enough
        self._saved_s = self._heard_until_s = 0.0  # of the stream
        self._news = ""  # what became of it, in words
        self._begin(opened)

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Begin, go on, or end."""
        self._begin(opened)
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        """Begin to count sound anew."""
        self._heard_until_s = at.stream_time_s
        return ()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Keep one of every n windows; enrol when there is enough."""
        if self._news and self._plan is None:
            text, self._news = self._news, ""
            self._on_armed()
            return (NoticeEvent(**at.facts(), notice="commissioned", text=text, figures={}),)
        if self._plan is None:
            return ()
        self._hear(self._plan, at, window)
        if self._plan.heard_s >= self._due_s and self._thread is None:
            self._save()
            self._thread = threading.Thread(target=self._enrol, args=(self._plan,), daemon=True)
            self._thread.start()
        elif self._error is not None:
            self._after_failing(self._plan)
        if at.stream_time_s - self._saved_s >= _SAVE_EVERY_S:
            self._saved_s = at.stream_time_s
            self._save()
        return ()

    def wait(self, seconds: float) -> None:
        """Wait for what is being learned, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def close(self) -> None:
        """Keep what was heard; what is being learned for long is begun anew at the next start."""
        self.wait(_LEARNED_WITHIN_S)
        self._save()

    def _begin(self, opened: OpenedMachine) -> None:
        self._writer.discard(self._folder.path)
        self._plan = opened.plan
        self._learned = False
        self._n_kept = 0  # files, in this run
        self._detector = opened.detector
        self._windows: list[WindowSound] = []
        self._places: list[WindowPlace] = []
        self._thread = self._error = None
        self._number = self._choice = 0  # of the window among so many, and of the one kept
        if self._plan is not None:
            self._plan = self._plan.model_copy(update={"run": self._plan.run + 1})
            self._due_s = self._plan.watch_s
            self._news = ""
            _log.info("commissioning of %s: %s", self._plan.machine, sentence(self._plan))
        self._show()

    def _hear(self, plan: CommissioningPlan, at: Moment, window: ScoredWindow) -> None:
        n_samples = window.audio.shape[1]
        window_s = n_samples / self._detector.sample_rate_hz
        new_s = min(max(at.stream_time_s - self._heard_until_s, 0.0), window_s)
        self._heard_until_s = at.stream_time_s
        self._plan = plan.model_copy(
            update={
                "heard_s": plan.heard_s + new_s,
                "origin": self._board.status.source or plan.origin,
            }
        )
        self._show()
        if not self._chosen(plan.stride(self._hop_s)):
            return
        stretch = int(plan.heard_s // STRETCH_S)
        self._places.append(WindowPlace(plan.run, window.start_sample, n_samples, stretch))
        self._windows.append(measure_window(self._detector, window.audio))

    def _chosen(self, stride: int) -> bool:
        """Whether a window is the one of so many that is kept: any of them, by chance.

        Every n-th one would hear a machine with a cycle at the same places again and again.
        """
        if self._number == 0:
            self._choice = self._random.randrange(stride)
        chosen = self._number == self._choice
        self._number = (self._number + 1) % stride
        return chosen

    def _save(self) -> None:
        if self._plan is None or self._thread is not None:
            return
        if self._windows:
            self._n_kept += 1
            name = f"{self._plan.run:05d}-{self._n_kept:05d}"
            self._folder.keep(self._windows, self._places, name)
            self._windows, self._places = [], []
        self._folder.note(self._plan)

    def _enrol(self, plan: CommissioningPlan) -> None:
        """Make an enrolment of what was heard. Thread: its own."""
        try:
            self._learn(plan)
        except (EdgeAsdError, OSError) as error:
            self._error = one_line(error)
        except Exception as error:
            _log.exception("what was heard could not be learned")
            self._error = f"{type(error).__name__}: {error}"

    def _learn(self, plan: CommissioningPlan) -> None:
        if not self._writer.wait(_WRITTEN_WITHIN_S):
            raise StateError(f"it is not on the disk: {self._writer.problem or 'that is slow'}")
        store = LearnedStore(self._state)
        with store.writing():
            heard = self._folder.heard(plan.heard_s)
            learned = enrol(
                self._bundle,
                base_for(self._bundle, plan.machine, plan.like, "source", None),
                "source",
                heard,
                origin=plan.origin,
                utc=self._utc(),
                goal=SiteGoal(plan.false_alarms_per_month, plan.false_alarm_rate),
            )
            version = store.add(learned)
            self._folder.end()
            self._learned = True
        site = learned.site
        promised = promise_sentence(site.threshold, site.promise) if site.promise else ""
        self._news = (
            f"heard {duration(plan.heard_s)}, learned as {version}; alarms are raised from now on: "
            f"{promised}"
        )
        if warning := reach_warning(self._bundle, learned):
            self._news += f"; {warning}"
        if found := deciding_windows(self._bundle, learned, "source"):
            where = heard.where(found.windows.tolist(), self._bundle.manifest.sample_rate_hz)
            self._news += f"; {where} {found.text}"
        ask(self._state.control_socket, "reload")

    def _after_failing(self, plan: CommissioningPlan) -> None:
        """Go on listening where nothing could be learned."""
        self._failed.update(True, f"what was heard cannot be used: {self._error}")
        self._thread = self._error = None
        if self._learned:  # but cannot be taken over
            self._plan = None
        else:
            self._due_s = plan.heard_s + _AGAIN_AFTER_S

    def _show(self) -> None:
        left = None if self._plan is None else self._plan.left_s
        self._board.status = replace(self._board.status, commissioning_left_s=left)
