"""Everything the loop needs of the world, in one frozen bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pitcrew.core.order import Standing
from pitcrew.core.resource import TargetKind
from pitcrew.core.storm import Sky
from pitcrew.loop.expenses import Expenses
from pitcrew.ports import (
    Clock,
    Consultant,
    Journal,
    Mechanic,
    Observer,
    Official,
    ReportSink,
    RunbookSearch,
    RunbookSource,
    Runtime,
    StatusSink,
    Transcripts,
    Witness,
)
from pitcrew.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Crew:
    """The ports that the loop works with."""

    settings: Settings
    clock: Clock
    journal: Journal
    runtimes: Mapping[TargetKind, Runtime]
    observer: Observer
    official: Official
    mechanic: Mechanic
    status: StatusSink
    reports: ReportSink
    runbooks: RunbookSource
    standing: Standing
    """The orders of people that stand, as the journal tells them."""
    sky: Sky
    """The storm that lasts over all services, if any."""
    expenses: Expenses
    """What asking models cost lately, as the journal tells it."""
    halted: Callable[[], str]
    """Why no effect is possible at all now (a person's stop, a damaged journal), for people; empty while it is."""
    witnesses: tuple[Witness, ...] = ()
    """Who is told what is seen and recorded."""
    consultant: Consultant | None = None
    """Who gives second opinions; None where no model is configured."""
    search: RunbookSearch | None = None
    """Ranks what a model is offered; None where nobody is offered anything."""
    transcripts: Transcripts | None = None
    """Keeps what models were sent and answered; None where nothing is kept."""
