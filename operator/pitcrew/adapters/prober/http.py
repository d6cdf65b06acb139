"""HTTP probes as the kubelet asks them: a new connection each, redirects not followed, certificates not verified.

What an errno means for S5:

- The target's own stack answers with ECONNREFUSED, ECONNRESET or EPIPE, and its silence is a timeout: Failures.
- EHOSTUNREACH and ENETUNREACH are nearly always written by *our* kernel: no route, or nobody answers ARP for the
  address. The container may have gone, our bridge may be down, or our machine may have lost its network; nothing in
  the errno tells these apart, so the result is Unknown. That a container has gone is a runtime fact, and the look at
  the runtime says so with certainty.
- Everything else that a socket call can say (descriptors, buffers, local ports, a local packet filter) is our side.
- A TLS handshake that the peer refuses, or cannot do, is its answer: Malformed.
- A deadline that ran out while our own loop stood still proves nothing about the service: Unknown.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pitcrew.adapters.prober.addresses import Address, forbidden, literal
from pitcrew.adapters.prober.answer import Answer, Cut, Exchange, Malformed, request
from pitcrew.adapters.prober.names import ADDRESSES_MAX, Names
from pitcrew.core.observation import Outcome, ProbeReason, ProbeResult
from pitcrew.core.resource import HttpGet, TcpSocket
from pitcrew.core.untrusted import clean

Place = HttpGet | TcpSocket
"""What is asked: a port, and over it HTTP or nothing but a connection."""
DETAIL_BYTES_MAX = 512
ECHO_BYTES_MAX = 256
STALL_S_MAX = 0.5
"""How late a deadline may fire before the lateness is ours: a stalled loop, a stopped process."""

_REFUSED = frozenset({errno.ECONNREFUSED})
_RESET = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN})
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EAFNOSUPPORT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A result without its name and instant."""

    outcome: Outcome
    reason: ProbeReason
    detail: str
    status: int | None = None
    latency_ms: int | None = None


def _failure(reason: ProbeReason, detail: str) -> Finding:
    return Finding(outcome=Outcome.FAILURE, reason=reason, detail=detail)


def _unknown(reason: ProbeReason, detail: str) -> Finding:
    return Finding(outcome=Outcome.UNKNOWN, reason=reason, detail=detail)


def _silent(detail: str) -> Finding:
    return _failure(ProbeReason.TIMEOUT, detail)


def _taken(place: str, *, latency_ms: int) -> Finding:
    return Finding(
        outcome=Outcome.SUCCESS, reason=ProbeReason.OK, detail=f"{place} takes connections", latency_ms=latency_ms
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KubeletHttpProber:
    """`HttpProber` over asyncio sockets.

    `loopback_allowed` says whether a manifest may name a loopback `host`: yes where its author is the operator's own
    user (manifests on disk), no in a cluster. The target's own address may always be loopback. `now` gives aware UTC.
    """

    def __init__(self, *, loopback_allowed: bool, now: Callable[[], datetime] = _utc_now) -> None:
        self._loopback_allowed = loopback_allowed
        self._now = now
        self._names = Names()
        self._tls = _unverified_tls()

    async def get(self, name: str, http_get: HttpGet, *, address: str | None, timeout_s: float) -> ProbeResult:
        """See `pitcrew.ports.HttpProber`."""
        return await self._probed(name, http_get, address, timeout_s)

    async def connect(self, name: str, tcp: TcpSocket, *, address: str | None, timeout_s: float) -> ProbeResult:
        """See `pitcrew.ports.HttpProber`."""
        return await self._probed(name, tcp, address, timeout_s)

    async def _probed(self, name: str, place: Place, address: str | None, timeout_s: float) -> ProbeResult:
        at = self._now()
        began = asyncio.get_running_loop().time()
        finding = await self._find(place, address, began + timeout_s)
        late_s = asyncio.get_running_loop().time() - began - timeout_s
        if finding.reason is ProbeReason.TIMEOUT and late_s > STALL_S_MAX:
            finding = _unknown(ProbeReason.OUR_LIMITS, f"our own loop stood still {late_s:.1f} s beyond the deadline")
        return ProbeResult(
            probe=name,
            at=at,
            outcome=finding.outcome,
            reason=finding.reason,
            detail=clean(finding.detail, DETAIL_BYTES_MAX),
            status=finding.status,
            latency_ms=finding.latency_ms,
        )

    async def _find(self, asked: Place, address: str | None, deadline_at: float) -> Finding:
        host = asked.host or address
        if not host:
            return _unknown(ProbeReason.NO_ADDRESS, "the target has no address, and the probe names no host")
        try:
            async with asyncio.timeout_at(deadline_at):
                addresses = (await self._names.addresses(host))[:ADDRESSES_MAX]
        except TimeoutError:
            return _unknown(ProbeReason.NAME_NOT_RESOLVED, f"{host}: no answer from the resolver in time")
        except OSError as error:
            return _unknown(ProbeReason.NAME_NOT_RESOLVED, f"{host}: {error.strerror or error}")
        except RuntimeError as error:  # "can't start new thread"
            return _unknown(ProbeReason.OUR_LIMITS, str(error))
        if not addresses:
            return _unknown(ProbeReason.NAME_NOT_RESOLVED, f"{host}: the name has no address")
        loopback_allowed = self._loopback_allowed or asked.host is None
        for one in addresses:
            if kind := forbidden(one, loopback_allowed=loopback_allowed):
                return _unknown(ProbeReason.ADDRESS_FORBIDDEN, f"{host}: {one} is {kind}, where probes do not go")
        return await self._try_each(asked, host, addresses, deadline_at)

    async def _try_each(self, asked: Place, host: str, addresses: Sequence[Address], deadline_at: float) -> Finding:
        """The first address that takes the connection answers for the service; each gets its share of the time left."""
        loop = asyncio.get_running_loop()
        findings: list[Finding] = []
        for place, one in enumerate(addresses):
            share_s = (deadline_at - loop.time()) / (len(addresses) - place)
            began = loop.time()
            connected = await self._connect(one, asked.port, began + share_s)
            if isinstance(connected, socket.socket) and isinstance(asked, TcpSocket):
                connected.close()
                return _taken(f"{one} port {asked.port}", latency_ms=int((loop.time() - began) * 1000))
            if isinstance(connected, socket.socket) and isinstance(asked, HttpGet):
                return await self._ask(connected, asked, host, deadline_at)
            assert isinstance(connected, Finding)
            findings.append(connected)
        return _weightiest(findings)

    async def _connect(self, address: Address, port: int, deadline_at: float) -> socket.socket | Finding:
        place = f"{address} port {port}"
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            return _from_errno(error, place)
        try:
            connection.setblocking(False)
            async with asyncio.timeout_at(deadline_at):
                await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
        except TimeoutError as error:
            connection.close()
            return _from_errno(error, place) if error.errno else _silent(f"{place}: no connection")
        except OSError as error:
            connection.close()
            return _from_errno(error, place)
        except asyncio.CancelledError:
            connection.close()
            raise
        return connection

    async def _ask(self, connection: socket.socket, http_get: HttpGet, host: str, deadline_at: float) -> Finding:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout_at(deadline_at):
                answer = await self._exchange(connection, http_get, host)
        except TimeoutError as error:
            return _from_errno(error, host) if error.errno else _silent("no whole answer in time")
        except (Malformed, ssl.SSLError, Cut, OSError) as error:
            return _from_exchange(error)
        return _judge(answer, latency_ms=int((loop.time() - began) * 1000))

    async def _exchange(self, connection: socket.socket, http_get: HttpGet, host: str) -> Answer:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        exchange = Exchange(request(http_get, host), answered)
        secure = http_get.scheme == "HTTPS"
        transport: asyncio.Transport | None = None
        try:
            transport, _ = await loop.create_connection(
                lambda: exchange,
                sock=connection,
                ssl=self._tls if secure else None,
                server_hostname=_server_name(http_get, host) if secure else None,
            )
            return await answered
        finally:
            _forget(answered)
            if transport is None:
                connection.close()
            else:
                transport.abort()


def _forget(answered: asyncio.Future[Answer]) -> None:
    """Nobody waits any more: take what the exchange may still have said, so that nothing is logged about it."""
    if answered.done():
        with suppress(asyncio.CancelledError):
            answered.exception()
    else:
        answered.cancel()


def _server_name(http_get: HttpGet, host: str) -> str:
    """The name for SNI: a `Host` header of the manifest, as the kubelet has it, or the host."""
    given = [header.value for header in http_get.http_headers if header.name.lower() == "host" and header.value]
    name = given[0].rpartition(":")[0] or given[0] if given else host
    return host if literal(name) is not None or len(name) > 253 or ".." in name or name.startswith(".") else name


def _unverified_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _judge(answer: Answer, *, latency_ms: int) -> Finding:
    good = 200 <= answer.status < 400
    detail = " ".join(f"HTTP {answer.status} {clean(answer.phrase, 64)}".split())
    if not good and answer.body:
        detail = f"{detail}: {clean(answer.body, ECHO_BYTES_MAX)}"
    return Finding(
        outcome=Outcome.SUCCESS if good else Outcome.FAILURE,
        reason=ProbeReason.OK if good else ProbeReason.STATUS,
        detail=detail,
        status=answer.status,
        latency_ms=latency_ms,
    )


def _from_exchange(error: Malformed | Cut | OSError) -> Finding:
    """What a connection that was made, and then went wrong, says."""
    match error:
        case Malformed():
            return _failure(ProbeReason.MALFORMED, str(error))
        case Cut() | ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return _failure(ProbeReason.RESET, f"the connection {error if isinstance(error, Cut) else 'ended in TLS'}")
        case ssl.SSLError():
            return _failure(ProbeReason.MALFORMED, f"TLS: {error.reason or error}")
        case ConnectionError() if error.errno is None:  # asyncio's own words for an end during the handshake
            return _failure(ProbeReason.RESET, "the connection ended before an answer")
        case _:
            return _from_errno(error, "the connection")


def _from_errno(error: OSError, place: str) -> Finding:
    code = error.errno or 0
    said = f"{place}: {os.strerror(code) if code else error}"
    if code in _REFUSED:
        return _failure(ProbeReason.REFUSED, said)
    if code in _RESET:
        return _failure(ProbeReason.RESET, said)
    if code == errno.ETIMEDOUT:
        return _failure(ProbeReason.TIMEOUT, said)
    if code in _UNREACHABLE:
        return _unknown(ProbeReason.UNREACHABLE, said)
    return _unknown(ProbeReason.OUR_LIMITS, f"{said} ({errno.errorcode.get(code, 'no errno')})")


def _weightiest(findings: Sequence[Finding]) -> Finding:
    """What several addresses that took no connection say together.

    Where our limits kept us from asking one, it might have answered: Unknown. A family without a route (IPv6 on many
    machines) does not weaken the refusal that another address gave.
    """
    ours = [finding for finding in findings if finding.reason is ProbeReason.OUR_LIMITS]
    failures = [finding for finding in findings if finding.outcome is Outcome.FAILURE]
    return (ours or failures or list(findings))[0]
