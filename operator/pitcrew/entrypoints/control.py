"""The control socket: how people on this machine tell a running operator what to do.

`STATE/run/control.sock` can be reached by every user; who asks is the socket's peer credential, given by the kernel
(SO_PEERCRED), and no field of a message. One request a connection: a line of JSON, answered by a line of JSON, either
`{"ok": ...}` or `{"error": "..."}`.
"""

import asyncio
import grp
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from pitcrew.core.approval import SIGNATURE_BYTES_MAX, Decision
from pitcrew.core.errors import PitCrewError
from pitcrew.core.order import REASON_BYTES_MAX, Order, OrderKind, Person
from pitcrew.core.prompt import CITED_MAX
from pitcrew.core.record import Json
from pitcrew.core.untrusted import clean
from pitcrew.loop.control import Control

SOCKET = "run/control.sock"
LINE_BYTES_MAX = 16 * 1024
"""Bytes of one request; the longest is a reason with a signature."""
TALKS_MAX = 32
"""Connections served at once; a user who opens more waits, and delays no effect and no probe."""
TALK_S = 10.0
"""Seconds one connection may take."""
SUSPEND_S_MAX = 90 * 86_400
_PEER = struct.Struct("3i")
_log = logging.getLogger("pitcrew.control")

Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=140)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Question(_Request):
    """What an incident asks people about."""

    do: Literal["question"]
    incident: Word


class Decide(_Request):
    """A decision on the plan that was shown."""

    do: Literal["decide"]
    incident: Word
    plan: Word
    decision: Literal["Approve", "Deny"]
    reason: Reason
    signed: Annotated[str, StringConstraints(max_length=SIGNATURE_BYTES_MAX)] = ""


class Everywhere(_Request):
    """Stop, or go on."""

    do: Literal["stop", "go"]
    reason: Reason


class OneService(_Request):
    """Suspend, resume, or look at one service; `for_s` in seconds, absent for until it is resumed."""

    do: Literal["suspend", "resume", "reconcile"]
    service: Word
    reason: Reason
    for_s: Annotated[int, Field(ge=1, le=SUSPEND_S_MAX)] | None = None


class Propose(_Request):
    """A diagnosis of an assistant: choices out of closed lists."""

    do: Literal["propose"]
    incident: Word
    cause: Word
    runbook: Word
    evidence: Annotated[list[Word], Field(min_length=1, max_length=CITED_MAX)]


class Declarations(_Request):
    """Where services are declared."""

    do: Literal["declarations"]


_REQUEST: TypeAdapter[Question | Decide | Everywhere | OneService | Propose | Declarations] = TypeAdapter(
    Annotated[Question | Decide | Everywhere | OneService | Propose | Declarations, Field(discriminator="do")]
)
_ORDERS = {kind.value.lower(): kind for kind in OrderKind}


@asynccontextmanager
async def listening(control: Control, state: Path) -> AsyncIterator[None]:
    """Serve the socket for as long as the context lasts. Without it healing goes on."""
    try:
        bound = _bind(state)
    except OSError as error:
        _log.error("no control socket", extra={"text": f"{state / SOCKET}: {error.strerror}"})
        yield
        return
    talks = asyncio.Semaphore(TALKS_MAX)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with talks:
            await _talk(control, reader, writer)

    server = await asyncio.start_unix_server(talk, sock=bound, limit=LINE_BYTES_MAX)
    try:
        yield
    finally:
        server.close()
        (state / SOCKET).unlink(missing_ok=True)


def _bind(state: Path) -> socket.socket:
    """The socket, reachable by all. A path may be longer than an address of a socket may be, hence by descriptor."""
    directory = os.open(state / "run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = Path(f"/proc/self/fd/{directory}/control.sock")
        path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(str(path))
        path.chmod(0o666)
        return bound
    finally:
        os.close(directory)


async def _talk(control: Control, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(TALK_S):
            line = await reader.readuntil(b"\n")
            writer.write(json.dumps(await answer(control, _peer(writer), line)).encode() + b"\n")
            await writer.drain()
    except (TimeoutError, ValueError, OSError, EOFError) as error:
        _log.info("talk ended early", extra={"text": clean(str(error) or type(error).__name__, 200)})
    finally:
        writer.close()


def _peer(writer: asyncio.StreamWriter) -> Person:
    """Who is at the other end, by the kernel's word."""
    sock = writer.get_extra_info("socket")
    _, uid, gid = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return person_of(uid, gid)


def person_of(uid: int, gid: int) -> Person:
    """A user of this machine with the groups that it knows them by; one it does not know has no name and no group."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Person(uid=uid, name=f"#{uid}")
    groups = []
    for each in os.getgrouplist(name, gid):
        try:
            groups.append(grp.getgrgid(each).gr_name)
        except KeyError:
            continue
    return Person(uid=uid, name=name, groups=tuple(sorted(groups)))


async def answer(control: Control, person: Person, line: bytes) -> dict[str, Json]:
    """The answer to one request of an authenticated person."""
    try:
        return {"ok": await _carried_out(control, person, line)}
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return {"error": clean(f"bad request: {place}: {first['msg']}", 300)}
    except PitCrewError as error:
        return {"error": clean(str(error), 1000)}
    except OSError as error:
        return {"error": clean(f"it could not be kept: {error}", 300)}


async def _carried_out(control: Control, person: Person, line: bytes) -> Json:
    request = _REQUEST.validate_json(line)
    match request:
        case Question(incident=incident):
            return control.question(incident)
        case Decide():
            decision = Decision(request.decision)
            return await control.decide(
                person, request.incident, request.plan, decision, request.reason, signed=request.signed
            )
        case Everywhere(do=do, reason=reason):
            return await control.give(Order(kind=_ORDERS[do], by=person, reason=clean(reason, REASON_BYTES_MAX)))
        case Propose(incident=incident, cause=cause, runbook=runbook, evidence=evidence):
            return await control.propose(person, incident, cause, runbook, tuple(evidence))
        case OneService():
            return await control.give(_order(control, person, request))
        case Declarations():
            return {"services": control.services(), "manifests": [str(path.absolute()) for path in control.manifests]}


def _order(control: Control, person: Person, request: OneService) -> Order:
    until = control.clock.now().at + timedelta(seconds=request.for_s) if request.for_s else None
    reason = clean(request.reason, REASON_BYTES_MAX)
    return Order(kind=_ORDERS[request.do], by=person, reason=reason, service=request.service, until=until)
