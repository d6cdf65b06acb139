"""Which guards are armed, found out by looking at the real things; each that is not has its remedy beside it.

Nothing is changed: no key is made, no lock is taken for longer than a look, no fragment is set aside.
"""

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.status.text import read_status
from pitcrew.core.chain import Damage, verify
from pitcrew.core.cost import dollars
from pitcrew.core.dependency import graph_of, remarks
from pitcrew.core.errors import InvalidInput, PitCrewError
from pitcrew.core.runbook import Runbook
from pitcrew.entrypoints.cli.guards import Guard, Stand, armed, missing, off
from pitcrew.entrypoints.cli.names import manifest_files, service_name
from pitcrew.entrypoints.cli.output import listing, mapping
from pitcrew.entrypoints.cli.separation import separation
from pitcrew.entrypoints.cli.state import audited
from pitcrew.ports import Loaded
from pitcrew.settings import Settings, load


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """What is examined: a state directory, and what an operator would be started with."""

    state: Path
    manifests: tuple[Path, ...] = ()
    runbooks: tuple[Path, ...] = ()
    journal_key: Path | None = None

    def settings(self) -> Settings:
        """The settings an operator would have here. Raises InvalidInput."""
        given: dict[str, object] = {
            "state": self.state,
            "manifests": self.manifests or None,
            "runbooks": self.runbooks or None,
            "journal_key": self.journal_key,
        }
        return load(given)


def examine(patient: Patient) -> Sequence[Guard]:
    """Every guard, looked at now."""
    settings = patient.settings()
    apart = bool(settings.official_url)
    return [guard for look in _LOOKS if not (apart and look in _OF_OTHERS) for guard in _looked(look, settings)]


def _looked(look: Callable[[Settings], Iterator[Guard]], settings: Settings) -> Sequence[Guard]:
    name = look.__name__.strip("_").replace("_", " ")
    try:
        return list(look(settings))
    except (PitCrewError, OSError) as error:
        return [Guard(name=name, stand=Stand.NOT_ARMED, seen=str(error))]


def _state_directory(settings: Settings) -> Iterator[Guard]:
    name, state = "state directory", settings.state
    if not state.is_dir():
        yield off(name, f"{state} is not there yet", "`pitcrew run` makes it")
        return
    status = state.stat()
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if status.st_uid != os.geteuid() or not os.access(state, os.W_OK | os.X_OK):
        yield missing(name, f"{state} belongs to uid {status.st_uid}, mode {mode}", "run as its owner")
    elif status.st_mode & 0o022:
        yield missing(name, f"{state} can be written by others, mode {mode}", f"chmod go-w {state}")
    else:
        yield armed(name, f"{state}, mode {mode}")


def _private_directories(settings: Settings) -> Iterator[Guard]:
    name = "private directories"
    found = [settings.state / part for part in ("journal", "official", "mechanic", "undo", "process", "model")]
    there = [path for path in found if path.is_dir()]
    open_ones = [str(path) for path in there if path.stat().st_mode & 0o077]
    if open_ones:
        yield missing(name, f"open to others: {', '.join(open_ones)}", "chmod 700 them")
    elif there:
        yield armed(name, f"{len(there)} of {len(found)} are there, mode 0700")
    else:
        yield off(name, "none is there yet", "`pitcrew run` makes them")


def _one_operator(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.lock.state import holder

    pid = holder(settings.state) if settings.state.is_dir() else None
    if pid is None:
        yield off("one operator", "no operator runs here", "start it with `pitcrew run --manifests DIR`")
    else:
        yield armed("one operator", f"process {pid} holds the lock")


def _journal(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.journal.disk import read_key
    from pitcrew.adapters.lock.state import holder
    from pitcrew.entrypoints.cli.audit import newest_head

    if not (settings.state / "journal").is_dir():
        yield off("journal chain", "no journal yet", "`pitcrew run` begins it")
        return
    key = read_key(settings.journal_key) if settings.journal_key else None
    awaited, in_use = newest_head(settings.state), holder(settings.state) is not None
    chain = audited(settings.state, key=key, heads=[awaited] if awaited else [], in_use=in_use)
    fault = chain.fault
    if fault is None:
        sealed = f", {len(chain.acknowledged)} damages sealed" if chain.acknowledged else ""
        yield armed("journal chain", f"holds, head {chain.head.seq}:{chain.head.hash[:16]}{sealed}")
    elif fault.damage is Damage.FRAGMENT:
        yield armed("journal chain", f"holds; a write was cut short at {fault.place}, and the start sets it aside")
    else:
        yield missing("journal chain", str(fault), "find out why, then `pitcrew audit seal --reason ...`")
    if key is not None:
        yield armed("journal key", f"{settings.journal_key}; {chain.unkeyed} records without a mac")
    else:
        yield off("journal key", "none: who can write the files can write them all anew", "give --journal-key FILE")


def _signing_key(settings: Settings) -> Iterator[Guard]:
    name, path = "signing key", settings.state / "official" / "key"
    try:
        status = path.lstat()
    except FileNotFoundError:
        yield off(name, "none yet", "`pitcrew run` makes one")
        return
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        yield missing(name, f"{path}: mode {mode}, uid {status.st_uid}", "own it and chmod 600 it")
        return
    begins = path.read_bytes()[:64].startswith(b"-----BEGIN PRIVATE KEY-----")
    if begins:
        yield armed(name, f"Ed25519, {path}, mode {mode}")
    else:
        yield missing(name, f"{path}: holds no private key", "move it away, and a new one is made")


def _ledgers(settings: Settings) -> Iterator[Guard]:
    for name, folder in (("ledger of permits", "official"), ("ledger of spent permits", "mechanic")):
        paths = sorted((settings.state / folder).glob("*.jsonl"))
        if not paths:
            yield off(name, "none yet", "it begins with the first permit")
        for path in paths:
            with path.open("rb") as file:
                chain = verify((f"{path}:{number}", line) for number, line in enumerate(file, 1))
            if chain.fault is None or chain.fault.damage is Damage.FRAGMENT:
                yield armed(name, f"{path}, {chain.head.seq} records, the chain holds")
            else:
                yield missing(name, str(chain.fault), "restore the file")


def _target_locks(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.lock.files import FALLBACK, PREFERRED

    name = "target locks"
    places = [settings.lock_dir] if settings.lock_dir else [PREFERRED, FALLBACK]
    there = [place for place in places if place.is_dir() and os.access(place, os.W_OK | os.X_OK)]
    if there:
        yield armed(name, f"{there[0]}: two operators on this machine exclude each other")
    else:
        yield off(name, f"{places[0]} is not there yet", "`pitcrew run` makes it")


def _engine(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.runtime.docker.endpoint import resolve_endpoint
    from pitcrew.adapters.runtime.docker.engine import Engine, EngineIdentity

    name = "docker engine"
    endpoint = resolve_endpoint(os.environ, Path.home())

    async def ask() -> EngineIdentity:
        engine = Engine(endpoint, monotonic=time.monotonic, deadline_s=settings.engine_deadline_s)
        try:
            return await engine.identity()
        finally:
            await engine.close()

    try:
        identity = asyncio.run(ask())
    except PitCrewError as error:
        remedy = "docker targets are Unknown until it answers; process targets need none"
        yield off(name, f"{endpoint.url} ({endpoint.origin}): {error}", remedy)
    else:
        yield armed(name, f"{endpoint.url} ({endpoint.origin}), version {identity.version}")


def _stop(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.stop.files import NAME

    path = settings.state / NAME
    if os.path.lexists(path):
        yield Guard(name="stop", stand=Stand.OFF, seen=f"{path} is there: nothing acts", remedy="remove it to go on")
    else:
        yield armed("stop", f"not ordered; `touch {path}` stops every effect")


def _orders(settings: Settings) -> Iterator[Guard]:
    """Whether people can reach a running operator, and who may approve."""
    from pitcrew.adapters.lock.state import holder
    from pitcrew.entrypoints.cli.orders import ask

    path = settings.state / "run" / "control.sock"
    if settings.state.is_dir() and holder(settings.state) is not None:
        try:
            ask(settings.state, {"do": "declarations"})
            yield armed("control socket", f"{path}: callers are known by the kernel's word")
        except PitCrewError as error:
            yield missing("control socket", str(error), "look into the operator's log; nobody can approve meanwhile")
    else:
        yield off("control socket", "no operator runs here", "it is made by `pitcrew run`")
    own = f"uid {os.geteuid()}"
    if settings.own_user_may_approve:
        yield off("own user's approval", f"{own}, which PitCrew runs as, may approve below High: proposer and approver")
    else:
        yield armed("own user's approval", f"{own}, which PitCrew runs as, approves nothing")


def _signatures(settings: Settings) -> Iterator[Guard]:
    """Whether decisions can be signed, must be, and by whose word a key is a person's."""
    from pitcrew.adapters.signatures.allowed import read_allowed

    name, path = "signed approvals", settings.allowed_signers
    if path is None and settings.approvals_signed:
        yield missing(name, "must be signed, and no file says whose keys sign", "set PITCREW_ALLOWED_SIGNERS")
    elif path is None:
        yield off(name, "none: people are known by the kernel's word", "set PITCREW_ALLOWED_SIGNERS")
    elif shutil.which("ssh-keygen") is None:
        yield missing(name, "ssh-keygen is not here", "install OpenSSH's client")
    else:
        try:
            keys = [line for line in read_allowed(path).splitlines() if line.strip() and not line.startswith(b"#")]
        except InvalidInput as error:
            yield missing(name, str(error), "no signature counts meanwhile")
            return
        must = "no other decision is taken" if settings.approvals_signed else "the kernel's word will do as well"
        yield armed(name, f"{path}: {len(keys)} keys, which only its owner can change; {must}")


def _telling(settings: Settings) -> Iterator[Guard]:
    heads = settings.head_syslog or settings.head_webhook or settings.head_file
    ways = {"webhook": settings.webhook, "heartbeat": settings.heartbeat_url, "metrics": settings.metrics_addr}
    told = [name for name, address in ways.items() if address]
    if told:
        yield armed("being told", f"set here: {', '.join(told)}")
    else:
        yield off("being told", "nobody is told", "set PITCREW_WEBHOOK, PITCREW_HEARTBEAT_URL, PITCREW_METRICS_ADDR")
    if heads:
        yield armed("journal heads", f"every {settings.head_every_records} records to a place set here")
    else:
        yield off(
            "journal heads", "none leaves the host", "set PITCREW_HEAD_SYSLOG, PITCREW_HEAD_WEBHOOK, PITCREW_HEAD_FILE"
        )


def _declared(settings: Settings) -> Loaded | None:
    """What is declared here; None where no manifests are known."""
    from pitcrew.adapters.manifests.load import load as load_manifests
    from pitcrew.adapters.policy.cel import check_rules

    paths = settings.manifests or manifest_files(read_status(settings.state / "status"))
    return load_manifests(paths, extra_checks=check_rules) if paths else None


def _policies(settings: Settings) -> Iterator[Guard]:
    loaded = _declared(settings)
    if loaded is None:
        yield off("policies", "no manifests are known here", "name them with --manifests")
    else:
        rules = sum(len(one.service.spec.policy.rules) for one in loaded.services.values())
        rules += sum(len(one.policy.spec.rules) for one in loaded.policies.values())
        if loaded.problems:
            seen = "; ".join(map(str, loaded.problems[:3]))
            yield missing("policies", seen, f"{len(loaded.problems)} problems: `pitcrew validate` names them")
        else:
            yield armed("policies", f"{len(loaded.services)} services, {rules} rules in CEL, all can be used")
            if loaded.policies:
                yield armed("guardrails", ", ".join(f"{name} ({_bound_by(loaded, name)})" for name in loaded.policies))
            else:
                yield off("guardrails", "no RemediationPolicy is declared: each service's own policy alone decides")
            yield from _dependencies(loaded)
    yield from _modes(read_status(settings.state / "status"))


def _dependencies(loaded: Loaded) -> Iterator[Guard]:
    """Whether a service waits for what it depends on, instead of being remedied for it."""
    graph = graph_of(one.service for one in loaded.services.values())
    edges = sum(map(len, graph.values()))
    if found := remarks(graph):
        remedy = "declare what is missing, and take one dependsOn out of each circle"
        yield off("dependencies", "; ".join(found[:3]), remedy)
    elif edges:
        yield armed("dependencies", f"{edges} between {len(graph)} services, each declared, none in a circle")


def _bound_by(loaded: Loaded, name: str) -> str:
    """How many services a policy binds; none at all may be a misspelt selector."""
    services = [one.service for one in loaded.services.values()]
    bound = sum(any(p.name == name for p in loaded.guardrails.binding(service).policies) for service in services)
    return f"binds {bound} of {len(services)} services"


def _modes(statuses: Sequence[object]) -> Iterator[Guard]:
    lax = [
        f"{service_name(mapping(one))} {condition.get('reason')}"
        for one in statuses
        for condition in listing(mapping(mapping(one).get("status")).get("conditions"))
        if condition.get("type") == "NotEnforcing"
    ]
    if lax:
        yield off("acting", f"decides and does not act: {', '.join(lax)}", "spec.policy.mode: Enforce lets it act")


def _runbooks(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.runbooks.files import BUILT_IN, RunbookFiles

    found = RunbookFiles.load(settings.runbooks).runbooks()
    mine = sum(one.origin != BUILT_IN for one in found)
    yield armed("runbooks", f"{len(found)} can be used, {mine} of them yours")
    yield from _search_over(found, settings)


def _search_over(found: Sequence[Runbook], settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.search.fts5 import ENGINE, Fts5Search

    try:
        Fts5Search.over(found).close()
    except PitCrewError as error:
        told = missing if settings.model else off
        yield told("runbook search", str(error), "with a model PitCrew does not start so; rules alone need no search")
    else:
        yield armed("runbook search", f"BM25 by {ENGINE}")


def _limits(settings: Settings) -> Iterator[Guard]:
    yield armed(
        "limits",
        f"{settings.actions_everywhere_max} actions an hour on all services, {settings.acting_at_once_max} at once, "
        f"permits for {settings.permit_ttl_s} s",
    )


def _models(settings: Settings) -> Iterator[Guard]:
    from pitcrew.adapters.diagnoser.openai import fault, shown_endpoint

    if not settings.model:
        yield off("models", "none configured: rules only", "set PITCREW_MODEL; docs/how-to/model.md has the rest")
        return
    key, url = os.environ.get("OPENAI_API_KEY", ""), os.environ.get("OPENAI_BASE_URL", "")
    if reason := fault(key, url):
        yield missing("models", f"{settings.model}: {reason}", "set it, or unset PITCREW_MODEL for rules only")
        return
    seen = f"{settings.model} at {shown_endpoint(url)}, {'a key' if key else 'no key'}; closed lists, schema, "
    money = settings.model_price_in_per_million or settings.model_price_out_per_million
    yield armed(
        "models",
        f"{seen}{settings.model_tokens_per_incident_max} tokens an incident, {settings.model_tokens_per_hour_max} an "
        f"hour, {settings.model_tokens_per_day_max} a day; "
        + (f"at most {dollars(settings.model_money_per_day_max)} a day" if money else "no price set, no money counted")
        + f"; {_asking(settings)}",
    )


def _asking(settings: Settings) -> str:
    """How much services ask it where they say nothing, and which policies cap that."""
    from pitcrew.core.resource import Diagnosing

    usual, loaded = Diagnosing(), _declared(settings)
    caps = [
        f"policy {name} mode {cap.mode or '-'}, egress {cap.egress or '-'} ({_bound_by(loaded, name)})"
        for name, one in (loaded.policies.items() if loaded else ())
        if loaded and (cap := one.policy.spec.diagnosis)
    ]
    return f"default mode {usual.mode}, egress {usual.egress}; {'; '.join(caps) or 'no policy caps it'}"


_LOOKS = (
    _state_directory,
    _private_directories,
    _one_operator,
    _journal,
    _signing_key,
    _ledgers,
    _target_locks,
    _engine,
    _stop,
    _orders,
    _signatures,
    _telling,
    _policies,
    _runbooks,
    _limits,
    _models,
    separation,
)
_OF_OTHERS = (_signing_key, _ledgers, _target_locks, _engine)
"""What the Official and the Mechanics have where they are processes of their own."""
