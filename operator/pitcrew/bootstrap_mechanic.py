"""The composition root of a Mechanic in a process of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.durable import make_directory
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.lock.files import TargetLocks, default_directory
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.manifests.watch import ManifestWatch
from pitcrew.adapters.observer.local import LocalObserver
from pitcrew.adapters.policy.cel import check_rules
from pitcrew.adapters.prober.http import KubeletHttpProber
from pitcrew.adapters.stop.files import NAME, StopFile
from pitcrew.adapters.stop.held import HeldStop
from pitcrew.bootstrap import open_runtimes, suspended_by
from pitcrew.core.errors import JournalError
from pitcrew.core.order import Standing
from pitcrew.core.record import Record
from pitcrew.core.resource import TargetKind
from pitcrew.mechanic.acting import VerifyingMechanic
from pitcrew.mechanic.sealing import Sealer
from pitcrew.mechanic.verify import OfficialKeys
from pitcrew.ports import Actuator, Ledger, ManifestSource, Observer, Runtime, StopSwitch, TargetLock
from pitcrew.settings import Settings

CLOCK_SKEW_S = 5
"""Seconds that the Official's clock may run ahead of a Mechanic's in another process or on another machine."""


@dataclass(frozen=True, kw_only=True)
class MechanicParts:
    """What a Mechanic in a process of its own is made of; it has no journal, no policies and no key to sign permits."""

    lock: StateLock
    runtimes: Mapping[TargetKind, Runtime]
    actuators: Mapping[TargetKind, Actuator]
    locks: TargetLock
    observer: Observer
    manifests: ManifestSource
    mechanic: VerifyingMechanic
    sealer: Sealer
    stop: StopSwitch
    stop_place: str

    async def close(self) -> None:
        """Let go of everything; targets stay as they are."""
        for runtime in self.runtimes.values():
            await runtime.close()
        for actuator in self.actuators.values():
            await actuator.close()
        self.locks.close()
        self.lock.close()


def open_mechanic(settings: Settings, mechanic_id: str, official_keys: Path | None) -> MechanicParts:
    """Lock the state directory and make a Mechanic of its own.

    Raises:
        InvalidInput: the state directory is in use, or a setting names something that cannot be used.
    """

    state = settings.state.absolute()
    make_directory(state, 0o755)
    for name in ("mechanic", "undo", "process"):
        make_directory(state / name, 0o700)
    manifests = ManifestWatch(settings.manifests, extra_checks=check_rules)
    lock = StateLock.acquire(state)
    ledger = LedgerFile(path=state / "mechanic" / "spent.jsonl")
    clock = BootClock.after(last_of(ledger))
    locks = TargetLocks(settings.lock_dir or default_directory(), owner=f"Mechanic {mechanic_id}, state {state}")
    runtimes, actuators = open_runtimes(settings, state, clock, locks)
    prober = KubeletHttpProber(loopback_allowed=True, now=lambda: clock.now().at)
    stop = HeldStop(file=StopFile(state=state))
    return MechanicParts(
        lock=lock,
        runtimes=runtimes,
        actuators=actuators,
        locks=locks,
        observer=LocalObserver(runtimes=runtimes, prober=prober, clock=clock),
        manifests=manifests,
        mechanic=VerifyingMechanic(
            id=mechanic_id,
            keys=OfficialKeys(path=official_keys),
            ledger=ledger,
            actuators=actuators,
            now=clock.now,
            stop=stop,
            suspended=lambda service: suspended_by(service, Standing(), clock),
            skew=timedelta(seconds=CLOCK_SKEW_S),
        ),
        sealer=Sealer.over(state / "mechanic", mechanic_id),
        stop=stop,
        stop_place=str(state / NAME),
    )


def last_of(ledger: Ledger) -> Record | None:
    """The last record of a ledger, for the clock that goes on from it. None where there is none, or the ledger cannot
    be trusted, in which case whoever holds it does nothing."""
    try:
        records = ledger.read()
    except JournalError:
        return None
    return records[-1] if records else None
