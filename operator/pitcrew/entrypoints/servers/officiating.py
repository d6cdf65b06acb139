"""The Official as a process of its own: what it reads itself, what it keeps itself, and whose looks it believes."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.durable import make_directory
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.manifests.watch import ManifestWatch
from pitcrew.adapters.policy.cel import CelCompiler, check_rules
from pitcrew.adapters.signatures.ssh import SshSignatures
from pitcrew.adapters.stop.files import StopFile
from pitcrew.core.approval import OwnUser
from pitcrew.core.errors import InvalidInput, JournalError
from pitcrew.core.policy import Guardrails
from pitcrew.core.record import Record
from pitcrew.core.resource import HealthyService, ServiceKey
from pitcrew.entrypoints.control import person_of
from pitcrew.keys import PublicKey, private_key, public_keys
from pitcrew.official.asked import Hands
from pitcrew.official.judgement import Keys
from pitcrew.official.permits import Limits, SigningOfficial
from pitcrew.settings import Settings

_log = logging.getLogger("pitcrew.official")


@dataclass(kw_only=True)
class Office:
    """The Official with what it reads: `services` as declared now; `unread` says why there are none yet."""

    official: SigningOfficial
    manifests: ManifestWatch
    stop: StopFile
    lock: StateLock
    services: Mapping[ServiceKey, HealthyService] = field(default_factory=dict)
    unread: str = "the manifests were not read yet; ask again in a second"

    @property
    def guardrails(self) -> Guardrails:
        """The policies of the platform as declared now."""
        return self.manifests.guardrails()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Follow the manifests for as long as the block runs."""
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])
            self.lock.close()

    async def _follow(self) -> None:
        try:
            async for loaded in self.manifests.changes():
                self.services = {key: declared.service for key, declared in loaded.services.items()}
                self.unread = ""
                for problem in loaded.problems:
                    _log.warning("manifest not used as it is", extra={"text": str(problem)})
        except Exception:
            self.services, self.unread = {}, "the manifests are not followed any more; the log says why: start it anew"
            _log.exception("manifests are not followed any more")


@dataclass(frozen=True, kw_only=True, slots=True)
class MechanicKeys:
    """The public keys of a Mechanic in a file, read anew each time: a key that was retired there seals nothing more."""

    name: str
    path: Path

    @classmethod
    def of(cls, name: str, path: Path) -> "MechanicKeys":
        """Raises InvalidInput where the file cannot be used, so that it is said before anything listens."""
        made = cls(name=name, path=path)
        made()
        return made

    def __call__(self) -> Sequence[PublicKey]:
        """See `Keys`."""
        return public_keys(self.path, f"the Mechanic {self.name}'s")


def opened(settings: Settings, mechanics: Mapping[str, Path]) -> Office:
    """The Official over its own directory; `mechanics` are files of public keys by the id of the Mechanic.

    Raises:
        InvalidInput: the directory is in use, or a key or a setting cannot be used.
    """
    state = _prepared(settings.state)
    directory = state / "official"
    lock = StateLock.acquire(directory)
    try:
        return _office(settings, state, lock, {name: MechanicKeys.of(name, path) for name, path in mechanics.items()})
    except BaseException:
        lock.close()
        raise


def _office(settings: Settings, state: Path, lock: StateLock, mechanics: Mapping[str, Keys]) -> Office:
    ledger = LedgerFile(path=state / "official" / "ledger.jsonl")
    clock, stop = BootClock.after(_last(ledger)), StopFile(state=state)
    manifests = ManifestWatch(settings.manifests, extra_checks=check_rules)
    signers = settings.allowed_signers
    official = SigningOfficial(
        key=private_key(state / "official"),
        ledger=ledger,
        compiler=CelCompiler(),
        now=clock.now,
        stop=stop,
        own=OwnUser(uid=os.geteuid(), may_approve=False, name=person_of(os.geteuid(), os.getegid()).name),
        guardrails=manifests.guardrails,
        limits=Limits(permit_ttl_s=settings.permit_ttl_s, everywhere_max=settings.actions_everywhere_max),
        hands=Hands(signatures=SshSignatures(signers) if signers else None, only_signed=settings.approvals_signed),
        separated=True,
        mechanics=mechanics,
    )
    return Office(official=official, manifests=manifests, stop=stop, lock=lock)


def _prepared(state: Path) -> Path:
    state = state.absolute()
    make_directory(state, 0o755)
    make_directory(state / "official", 0o700)
    return state


def _last(ledger: LedgerFile) -> Record | None:
    """The last line of the ledger, behind which time never runs; where it cannot be read, nothing is permitted."""
    try:
        records = ledger.read()
    except JournalError as error:
        _log.error("the ledger cannot be trusted; nothing is permitted", extra={"text": str(error)})
        return None
    return records[-1] if records else None


def named_files(given: Sequence[str], option: str) -> Mapping[str, Path]:
    """`NAME=FILE` by name. Raises InvalidInput where one is no such pair, or a name stands there twice."""
    found: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path) or name in found:
            raise InvalidInput(f"{option} {text!r}: give NAME=FILE, each name once")
        found[name] = Path(path)
    return found
