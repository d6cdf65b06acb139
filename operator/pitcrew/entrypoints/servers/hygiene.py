"""The middleware in front of every application: what does not pass here reaches none of its routes."""

import asyncio
import logging
import math
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pitcrew.adapters.buckets import Buckets
from pitcrew.adapters.incoming import SECURITY_HEADERS, bearer, host_known
from pitcrew.adapters.problem import INTERNAL, Problem
from pitcrew.core.caller import Caller
from pitcrew.core.errors import Unavailable
from pitcrew.core.untrusted import clean
from pitcrew.entrypoints.servers.access import CALLER, TOKENS, Access, Need
from pitcrew.entrypoints.servers.limits import Limits
from pitcrew.ports import Tokens

Headers: TypeAlias = Mapping[str, list[str]]
_PATH = re.compile(rb"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
"""No empty, `.` or `..` segment, nothing encoded: two readers of a path can then not disagree about it."""
_SHOWN_BYTES_MAX = 200
_log = logging.getLogger("pitcrew.servers")


class Refusal(Exception):
    """A request that is answered by a problem; never leaves the middleware."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Hygiene:
    """An ASGI application around another one.

    `tokens` is None where no file is configured; `hosts` and `origins` are allowed beside what host_known allows and
    beside the server's own origin.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        tokens: Tokens | None,
        limits: Limits,
        buckets: Buckets,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
    ) -> None:
        self._app, self._access, self._tokens, self._limits = app, access, tokens, limits
        self._buckets, self._hosts, self._origins = buckets, frozenset(hosts), frozenset(origins)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI: passes the lifespan on, serves HTTP, and closes everything else."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, _Answer(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        self._under_way += 1
        try:
            async with asyncio.timeout(self._limits.request_s):
                admitted = self._admitted(scope)
                body = await self._body(_headers(scope), receive)
                await self._app(admitted, _Replay(body, receive), answer)
        except Refusal as refusal:
            self._note(scope, refusal.problem)
            await answer.refuse(refusal.problem)
        except TimeoutError:
            await answer.refuse(_problem(HTTPStatus.SERVICE_UNAVAILABLE, "it took too long; ask again later"))
        except Exception:
            _log.exception("request failed", extra={"text": _shown(scope)})
            await answer.refuse(_problem(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL))
        finally:
            self._under_way -= 1

    def _admitted(self, scope: Scope) -> Scope:
        """The scope with its caller, or a refusal; the cheap questions first, and nothing of the body."""
        if self._under_way > self._limits.requests_max:
            raise _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once", {"Retry-After": "1"})
        headers = _headers(scope)
        self._check_head(scope)
        self._check_origin(scope, headers)
        if _PATH.fullmatch(scope.get("raw_path") or b"") is None:
            raise _refusal(HTTPStatus.BAD_REQUEST, "the path is not spelt plainly: no empty, . or .. part, no encoding")
        shown = self._token(headers)
        caller = self._who(shown)
        self._check_rate(scope, caller)
        need = self._need(scope)
        if not need.met_by(caller, tokens=self._tokens is not None):
            raise self._denied(need, caller, shown)
        return {**scope, CALLER: caller, TOKENS: self._tokens is not None}

    def _check_head(self, scope: Scope) -> None:
        if scope["http_version"] not in ("1.0", "1.1"):
            raise _refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "speak HTTP/1.1")
        fields = sum(len(name) + len(value) for name, value in scope["headers"])
        if fields + len(scope.get("raw_path") or b"") + len(scope["query_string"]) > self._limits.head_bytes_max:
            limit = f"the headers have more than {self._limits.head_bytes_max} bytes"
            raise _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, limit)

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Host names us, and a browser comes from our own pages or from an allowed one. An absent Origin passes, since
        only browsers send it: that is no authentication."""
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        local = str((scope.get("server") or ("",))[0])
        if len(hosts) != 1 or not host_known(hosts[0], local, self._hosts):
            raise _refusal(HTTPStatus.MISDIRECTED_REQUEST, "the Host header names another server; see --allowed-host")
        own = f"{scope['scheme']}://{hosts[0]}"
        if origins and not (len(origins) == 1 and (origins[0] == own or origins[0] in self._origins)):
            raise _refusal(HTTPStatus.FORBIDDEN, "the Origin header names a page that may not ask here")

    def _token(self, headers: Headers) -> str | None:
        given = headers.get("authorization", [])
        if len(given) > 1:
            raise _refusal(HTTPStatus.BAD_REQUEST, "more than one Authorization header")
        return bearer(given[0]) if given else None

    def _who(self, token: str | None) -> Caller | None:
        if token is None or self._tokens is None:
            return None
        try:
            return self._tokens.who(token)
        except Unavailable as error:
            _log.error("tokens cannot be read", extra={"text": str(error)})
            raise _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "nobody can be let in now; see the log") from None

    def _check_rate(self, scope: Scope, caller: Caller | None) -> None:
        client = f"name {caller.name}" if caller else f"address {(scope.get('client') or ('',))[0]}"
        wait_s = self._buckets.wait_s(client)
        if wait_s > 0:
            after = {"Retry-After": str(math.ceil(wait_s))}
            raise _refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many requests of one client", after)

    def _need(self, scope: Scope) -> Need:
        served = self._access.methods(scope["path"])
        if not served:
            raise _refusal(HTTPStatus.NOT_FOUND, "nothing is served there")
        if scope["method"] not in served:
            allowed = {"Allow": ", ".join(sorted(served))}
            raise _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "that is not served with this method", allowed)
        return served[scope["method"]]

    def _denied(self, need: Need, caller: Caller | None, shown: str | None) -> Refusal:
        if caller is not None:
            return _refusal(HTTPStatus.FORBIDDEN, f"{caller.name} lacks the role {need}")
        if self._tokens is None:
            return _refusal(
                HTTPStatus.UNAUTHORIZED, f"that asks for the role {need}: start the server with --tokens", _ASK
            )
        if shown is None:
            return _refusal(HTTPStatus.UNAUTHORIZED, f"send a bearer token that has the role {need}", _ASK)
        return _refusal(HTTPStatus.UNAUTHORIZED, "nobody's token: revoked, expired or wrong", _ASK_ANEW)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body, which is read before the application begins, so that it never waits for a client."""
        limit = self._limits.body_bytes_max
        too_large = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {limit} bytes")
        length = headers.get("content-length", ["0"])[0]
        if not (length.isascii() and length.isdigit()) or int(length) > limit:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _refusal(HTTPStatus.BAD_REQUEST, "the body ended before its end")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            close = {"Connection": "close"}
            raise _refusal(HTTPStatus.REQUEST_TIMEOUT, "the body came too slowly", close) from None

    def _note(self, scope: Scope, problem: Problem) -> None:
        """Who was turned away for what they are stands in the log; the rate bounds how much that is."""
        if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST):
            _log.warning("request refused", extra={"text": f"{int(problem.status)} {_shown(scope)}: {problem.detail}"})


_ASK = {"WWW-Authenticate": 'Bearer realm="pitcrew"'}
_ASK_ANEW = {"WWW-Authenticate": 'Bearer realm="pitcrew", error="invalid_token"'}


class _Replay:
    """`receive` for the application: the body that was read, then whatever the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """`send` for the application: adds the security headers, and lets no text of an internal error out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        """See ASGI. Answers of 500 are ours, whatever the application or its framework wanted to say."""
        if self._replaced:
            return
        if message["type"] != "http.response.start":
            await self._send(message)
        elif message["status"] == HTTPStatus.INTERNAL_SERVER_ERROR:
            await self.refuse(_problem(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL))
        else:
            self._started = True
            await self._send({**message, "headers": _secured(message.get("headers", ()))})

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem; where an answer has begun, it is cut off instead, so that nobody takes it as whole."""
        if self._replaced:
            return
        self._replaced = True
        if self._started:
            raise Cut
        await self._send({"type": "http.response.start", "status": int(problem.status), "headers": problem.fields})
        await self._send({"type": "http.response.body", "body": problem.body})


class Cut(Exception):
    """An answer that had begun could not be ended; the connection is closed."""


def _secured(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"server"]
    own_policy = any(name.lower() == b"content-security-policy" for name, _ in kept)
    added = {name.lower().encode(): value.encode() for name, value in SECURITY_HEADERS.items()}
    if own_policy:
        del added[b"content-security-policy"]
    return [*((name, value) for name, value in kept if name.lower() not in added), *added.items()]


def _headers(scope: Scope) -> Headers:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    return Problem(status=status, detail=detail, headers=headers or {})


def _refusal(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(_problem(status, detail, headers))


def _shown(scope: Scope) -> str:
    client = (scope.get("client") or ("",))[0]
    return clean(f"{client} {scope['method']} {scope['path']}", _SHOWN_BYTES_MAX)
