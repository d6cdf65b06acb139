"""Playing a whole collection of cases in one way: by rules alone, or with a model in one of its modes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pitcrew.adapters.policy.cel import CelCompiler
from pitcrew.adapters.runbooks.files import RunbookFiles
from pitcrew.adapters.search.fts5 import Fts5Search
from pitcrew.core.errors import JournalUnwritable
from pitcrew.core.policy import NO_GUARDRAILS
from pitcrew.core.prompt import BOUNDARY_CHARS_MIN, ask_about
from pitcrew.core.record import Entry, Instant, Record
from pitcrew.core.resource import Diagnosing, DiagnosisMode, Egress
from pitcrew.entrypoints.evaluation.case import Case
from pitcrew.entrypoints.evaluation.played import Came, PlayedClock, Stage, play
from pitcrew.entrypoints.evaluation.score import Chosen, chosen
from pitcrew.entrypoints.evaluation.table import Run
from pitcrew.official.onlooker import onlooker
from pitcrew.official.permits import Limits
from pitcrew.ports import Consultant, Official
from pitcrew.settings import Settings

Follow = Callable[[int, Chosen], None]
"""Told of each case as it ends, with its number from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way of playing: its name, the mode that every service declares, and the model that takes part.

    `replayed_s` tells the seconds that the answers which were given again so far took when they were asked for.
    """

    name: str
    mode: DiagnosisMode = DiagnosisMode.RULES
    consultant: Consultant | None = None
    replayed_s: Callable[[], float] = lambda: 0.0


async def run(way: Way, cases: Sequence[Case], settings: Settings, follow: Follow | None = None) -> Run:
    """Play every case, one after the other."""
    stage = stage_for(way, settings)
    found = []
    for number, case in enumerate(cases, start=1):
        began, replayed_s = time.monotonic(), way.replayed_s()
        came = await play(stage, _in_mode(case, way.mode))
        seconds = time.monotonic() - began + way.replayed_s() - replayed_s
        one = chosen(came, evidence_tokens(came), seconds)
        found.append(one)
        if follow is not None:
            follow(number, one)
    return Run(name=way.name, chosen=tuple(found))


def stage_for(way: Way, settings: Settings) -> Stage:
    """What all cases of a run share."""
    runbooks = RunbookFiles.load(settings.runbooks)
    return Stage(
        settings=settings,
        runbooks=runbooks,
        search=Fts5Search.over(runbooks.runbooks()),
        official=_official_at,
        consultant=way.consultant,
    )


def evidence_tokens(came: Came) -> int:
    """Tokens of evidence that a model would be sent about a case, by PitCrew's own estimate."""
    evidence = came.incident.evidence if came.incident else ()
    question = ask_about(came.case.service.key, evidence, (), boundary="0" * BOUNDARY_CHARS_MIN)
    return question.evidence_tokens if question else 0


def _in_mode(case: Case, mode: DiagnosisMode) -> Case:
    diagnosing = Diagnosing(mode=mode, egress=Egress.ANY)
    spec = case.service.spec.model_copy(update={"diagnosis": diagnosing})
    return case.model_copy(update={"service": case.service.model_copy(update={"spec": spec})})


def _official_at(clock: PlayedClock) -> Official:
    """An Official that judges each case as if it were the first that it ever saw."""
    return onlooker(
        ledger=_NoLedger(),
        compiler=CelCompiler(),
        now=clock.now,
        stop=lambda: False,
        suspended=lambda service: None,
        guardrails=lambda: NO_GUARDRAILS,
        limits=Limits(permit_ttl_s=1, everywhere_max=1),
    )


class _NoLedger:
    """A ledger without a line."""

    def read(self) -> Sequence[Record]:
        """Nothing happened before."""
        return ()

    def append(self, entry: Entry, at: Instant) -> Record:
        """Never. Raises JournalUnwritable."""
        raise JournalUnwritable("an evaluation writes nothing")
