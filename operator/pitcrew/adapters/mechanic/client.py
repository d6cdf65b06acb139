"""One Mechanic over MCP: each call is one request, under a deadline, and its fate is known where it fails.

The protocol of 2026-07-28 has no session, so that a Mechanic may restart between two calls. The SDK's client lives in
one task of its own. What goes wrong with one request never reaches another, since the transport turns it into an
answer.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, TextContent
from pydantic import ValidationError

from pitcrew.adapters.breaker import Breaker, BreakerState
from pitcrew.adapters.mechanic.wire import ANSWER_BYTES_MAX, REASON_BYTES_MAX, error_of
from pitcrew.core.errors import PitCrewError, Refused, Unavailable
from pitcrew.core.untrusted import clean

PROTOCOL = "2026-07-28"
FAILURES_MAX, OPEN_S = 3, 2.0
"""After so many unanswered calls in a row nobody asks for so many seconds, but one who tries."""
CONNECT_S = 2.0
CONNECTIONS_MAX = 200
"""Connections at once; a look that hangs on a probe keeps one, and must not keep others from theirs."""
_BODY_BYTES_MAX = 8 * ANSWER_BYTES_MAX
"""An answer stands there twice, as data and as text, and its escapes take up to three bytes for one."""
_NOT_LET_IN = frozenset({400, 401, 403, 404, 405, 413, 421, 429})
"""Statuses of a request that was turned away before any tool was called."""
_TOKEN_REFUSED = frozenset({401, 403})
_ROLE_LACKING = -32003
"""The code with which a Mechanic says that the token has not the role for a tool."""
_TOKEN_BYTES_MAX = 4096
_log = logging.getLogger("pitcrew.mechanic")


class Lost(Unavailable):
    """A request that may have been carried out, and whose answer never came."""


class NotLetIn(Unavailable):
    """A request that was turned away for its token, before any tool was called."""


@dataclass(slots=True)
class _Fate:
    """What became of one request: whether it may have reached the Mechanic, and why it failed."""

    sent: bool = False
    status: int = 0
    trouble: str = ""


_FATE: ContextVar[_Fate | None] = ContextVar("pitcrew_mechanic_fate", default=None)


@dataclass(kw_only=True, slots=True)
class MechanicClient:
    """Calls the tools of the Mechanic `name` at `url`, such as http://127.0.0.1:7301. `token_file` holds a bearer
    token, and is read at every call."""

    name: str
    url: str
    token_file: Path | None = None
    monotonic: Callable[[], float] = time.monotonic
    _breaker: Breaker = field(init=False)
    _client: Client | None = field(default=None, init=False)
    _holder: "asyncio.Task[None] | None" = field(default=None, init=False)
    _ending: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        self._breaker = Breaker(failures_max=FAILURES_MAX, open_s=OPEN_S, monotonic=self.monotonic)

    @property
    def state(self) -> BreakerState:
        """Where the circuit breaker stands."""
        return self._breaker.state

    async def call(self, tool: str, arguments: Mapping[str, object], *, within_s: float) -> Mapping[str, Any]:
        """The structured answer of a tool.

        Raises:
            Lost: it may have been carried out, and no answer came that can be read.
            NotLetIn: the token does not count there.
            Unavailable: it was certainly not carried out.
            PitCrewError: what the Mechanic said, one of `wire.ERRORS`.
        """
        if not self._breaker.admits():
            raise Unavailable(f"the Mechanic {self.name} does not answer; it is asked again in {OPEN_S:.0f} s at most")
        fate = _Fate()
        try:
            result = await self._asked(tool, arguments, fate, within_s)
        except PitCrewError as error:
            self._count(error)
            raise
        self._breaker.succeeded()
        return _structured(result)

    def _count(self, error: PitCrewError) -> None:
        """Only silence counts for the breaker: whoever refuses is there."""
        if isinstance(error, Unavailable):
            self._breaker.failed()
        else:
            self._breaker.succeeded()

    async def _asked(self, tool: str, arguments: Mapping[str, object], fate: _Fate, within_s: float) -> CallToolResult:
        asked = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
        mark = _FATE.set(fate)
        try:
            async with asyncio.timeout(within_s):
                client = await self._open()
                return await client.session.send_request(asked, CallToolResult)
        except TimeoutError:
            raise self._failed(fate, f"no answer within {within_s:.0f} s") from None
        except MCPError as error:
            if error.error.code == _ROLE_LACKING:
                raise Refused(clean(error.error.message, REASON_BYTES_MAX)) from None
            raise self._failed(fate, error.error.message) from None
        except (ValidationError, RuntimeError, ValueError, OSError) as error:
            raise self._failed(fate, f"an answer that cannot be read ({type(error).__name__})") from None
        finally:
            _FATE.reset(mark)

    def _failed(self, fate: _Fate, otherwise: str) -> Unavailable:
        reason = clean(fate.trouble or otherwise, REASON_BYTES_MAX)
        if fate.sent:
            kind: type[Unavailable] = Lost
        else:
            kind = NotLetIn if fate.status in _TOKEN_REFUSED else Unavailable
        return kind(f"the Mechanic {self.name} at {self.url}: {reason}")

    # The SDK's client, in a task of its own

    async def _open(self) -> Client:
        async with self._turn:
            if self._client is None or self._holder is None or self._holder.done():
                ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
                self._ending = asyncio.Event()
                self._holder = asyncio.create_task(self._hold(ready, self._ending), name=f"mechanic {self.name}")
                self._client = await ready
            return self._client

    async def _hold(self, ready: "asyncio.Future[Client]", ending: asyncio.Event) -> None:
        http = httpx2.AsyncClient(transport=_Transport(self.token_file), timeout=None, trust_env=False)
        try:
            async with http, Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=PROTOCOL) as made:
                ready.set_result(made)
                await ending.wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(Unavailable(f"the client of the Mechanic {self.name} cannot begin: {error}"))
                return
            _log.warning("client of a Mechanic ended", extra={"text": f"{self.name}: {type(error).__name__}"})

    async def close(self) -> None:
        """Let go of the connections; may be called twice."""
        self._ending.set()
        if self._holder is not None:
            await asyncio.gather(self._holder, return_exceptions=True)
        self._client = self._holder = None


def _structured(result: CallToolResult) -> Mapping[str, Any]:
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    if result.is_error:
        raise error_of(text) or Lost(f"the Mechanic failed: {clean(text, REASON_BYTES_MAX)}")
    if not isinstance(result.structured_content, dict):
        raise Lost("the Mechanic's answer holds no data")
    return result.structured_content


class _Transport(httpx2.AsyncBaseTransport):
    """Asks, reads the whole answer, bounded, and notes what became of the request; never raises for the network's sake,
    since the SDK would end every other request along with this one."""

    def __init__(self, token_file: Path | None) -> None:
        self._token_file = token_file
        self._inner = httpx2.AsyncHTTPTransport(
            trust_env=False, limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=8)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request; a failure is an answer of 502 or 504, and stands in its fate."""
        fate = _FATE.get() or _Fate()
        try:
            if self._token_file is not None:
                request.headers["Authorization"] = f"Bearer {_token(self._token_file)}"
        except (OSError, ValueError) as error:
            return _away(request, fate, f"the token in {self._token_file} cannot be used: {error}")
        try:
            return await self._ask(request, fate)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            fate.sent = False
            return _away(request, fate, f"cannot be reached: {error or type(error).__name__}")
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            return _away(request, fate, f"the answer was lost: {error or type(error).__name__}")

    async def _ask(self, request: httpx2.Request, fate: _Fate) -> httpx2.Response:
        request.extensions = {**request.extensions, "timeout": {"connect": CONNECT_S, "pool": CONNECT_S}}
        fate.sent = True
        response = await self._inner.handle_async_request(request)
        try:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _BODY_BYTES_MAX:
                    raise httpx2.StreamError(f"more than {_BODY_BYTES_MAX} bytes")
        finally:
            await response.aclose()
        fate.status = response.status_code
        if fate.status >= 400:
            fate.sent = fate.status not in _NOT_LET_IN
            fate.trouble = f"it answered {fate.status}: {clean(bytes(body), REASON_BYTES_MAX)}"
        elif not _answers(request.content, bytes(body)):
            raise httpx2.StreamError("it answered something else")
        headers = {"content-type": response.headers.get("content-type", "")}
        return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


def _answers(asked: bytes, answered: bytes) -> bool:
    """Whether a body is the JSON-RPC answer to a request; the SDK would wait for another one."""
    try:
        found, wanted = json.loads(answered), json.loads(asked)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "id" in found and found["id"] == wanted.get("id")


def _away(request: httpx2.Request, fate: _Fate, trouble: str) -> httpx2.Response:
    fate.trouble = trouble
    return httpx2.Response(502, request=request)


def _token(path: Path) -> str:
    text = path.read_bytes()[:_TOKEN_BYTES_MAX].decode("ascii").strip()
    if not text or any(char.isspace() for char in text):
        raise ValueError("it holds no token on one line")
    return text
