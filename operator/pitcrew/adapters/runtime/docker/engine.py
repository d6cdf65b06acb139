"""Calls to the engine: in bounded workers, under a wall-clock deadline, behind bulkheads and a breaker.

One container may hold few workers, so that a hung one does not delay the others (L3). Deadlines that pass at one
container say nothing about the engine; what opens the engine's breaker is an engine that takes no connection or hangs
up, and deadlines at calls for different containers in a row.
"""

import asyncio
import http.client
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

import requests
import urllib3
from docker import APIClient, errors

from pitcrew.adapters.breaker import Breaker, BreakerState
from pitcrew.adapters.runtime.docker.endpoint import Endpoint
from pitcrew.adapters.runtime.docker.text import printable
from pitcrew.adapters.runtime.docker.wire import Call, Wire, dial
from pitcrew.core.errors import EngineForbidden, EngineUnavailable, TargetAbsent, TargetAmbiguous

T = TypeVar("T")

PER_CONTAINER_MAX = 3
"""Calls at once for one container: a look, a probe and an effect."""
PROXY_SAYS = "Socket-Proxy"
"""The header with which a socket proxy (manifests/socket-proxy) tells that it has not passed a request on."""
_TROUBLE = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    errors.DockerException,
    http.client.HTTPException,
    OSError,
    ValueError,
    KeyError,
)


class CallFailed(EngineUnavailable):
    """A call that got no answer: whether the engine may have received it, and whether the deadline ended it."""

    def __init__(self, message: str, *, sent: bool, late: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.late = late


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineIdentity:
    """Which engine answers. `is_here`: its containers are processes of this machine, and their addresses reachable."""

    engine_id: str
    version: str
    is_here: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A client with the engine it was dialled to."""

    client: APIClient
    engine: EngineIdentity


class Engine:
    """One Docker engine. Make one in each event loop; `close` ends every worker.

    `deadline_s` bounds each call unless the caller says otherwise; `workers_max` bounds threads. The breaker opens
    after `breaker_failures_max` failures in a row, for `breaker_open_s`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        monotonic: Callable[[], float],
        deadline_s: float = 5.0,
        workers_max: int = 16,
        breaker_failures_max: int = 5,
        breaker_open_s: float = 2.0,
    ) -> None:
        self.endpoint = endpoint
        self.deadline_s = deadline_s
        self.wire = Wire()
        self._breaker = Breaker(failures_max=breaker_failures_max, open_s=breaker_open_s, monotonic=monotonic)
        self._pool = ThreadPoolExecutor(max_workers=workers_max, thread_name_prefix="docker")
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._calls: set[Call] = set()
        self._lock = Lock()
        self._session: Session | None = None
        self._late_at: str | None = None

    @property
    def breaker_state(self) -> BreakerState:
        """Where the breaker stands, for doctor and status."""
        return self._breaker.state

    async def identity(self) -> EngineIdentity:
        """Which engine answers.

        Raises:
            EngineUnavailable, EngineForbidden: none can be asked.
        """
        return await self.call(lambda session: session.engine, about="")

    async def call(self, work: Callable[[Session], T], *, about: str, deadline_s: float | None = None) -> T:
        """Do `work` in a worker; `about` names the container it is for, or is empty.

        Raises:
            CallFailed: no answer, for whichever reason; says whether the engine may have been reached.
            EngineForbidden: this user may not talk to the engine.
            docker.errors.APIError: the engine answered with an error.
        """
        if not self._breaker.admits():
            raise CallFailed(f"{self._place}: not asked, its breaker is open after failures in a row", sent=False)
        call, limit_s = Call(), self.deadline_s if deadline_s is None else deadline_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._admitted(call, work, about)
        except TimeoutError as error:
            call.cut()  # from here on `sent` cannot change
            self._note_late(about, sent=call.sent)
            raise CallFailed(f"{self._place}: no answer within {limit_s:g} s", sent=call.sent, late=True) from error
        finally:
            call.cut()

    async def _admitted(self, call: Call, work: Callable[[Session], T], about: str) -> T:
        gate = self._gate(about)
        await gate.acquire()
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, self.work, call, work)
        except RuntimeError as error:
            gate.release()
            raise CallFailed(f"{self._place}: closed", sent=False) from error
        future.add_done_callback(lambda done: _settle(done, gate))
        return await asyncio.shield(future)

    def _gate(self, about: str) -> asyncio.Semaphore:
        gate = self._gates.get(about)
        if gate is None:
            gate = self._gates[about] = asyncio.Semaphore(PER_CONTAINER_MAX)
        return gate

    def work(self, call: Call, work: Callable[[Session], T]) -> T:
        """Do `work` in this very thread for `call`, with errors translated; raises what `call()` raises."""
        with self._lock:
            self._calls.add(call)
        self.wire.serve(call)
        try:
            answer = work(self._dialled(call))
        except (TargetAbsent, TargetAmbiguous):
            self._breaker.succeeded()
            raise
        except errors.APIError as error:
            self._refuse_unreached(error)
            self._breaker.succeeded()
            self._refuse_forbidden(error)
            raise
        except _TROUBLE as error:
            raise self._trouble(error, call) from error
        else:
            self.answered()
            return answer
        finally:
            self.wire.serve(None)
            with self._lock:
                self._calls.discard(call)

    def answered(self) -> None:
        """Take note that the engine answers; also said in the middle of long work."""
        self._breaker.succeeded()
        self._late_at = None

    async def close(self) -> None:
        """Cut what is under way and end the workers."""
        with self._lock:
            calls = tuple(self._calls)
        for call in calls:
            call.cut()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    @property
    def _place(self) -> str:
        return f"Docker engine at {self.endpoint.url} (from {self.endpoint.origin})"

    def _dialled(self, call: Call) -> Session:
        session = self._session
        if session is None:
            client = dial(self.endpoint, self.wire)
            session = Session(client=client, engine=_identify(client, self.endpoint))
            self._session = session
        call.sent = False
        return session

    def _trouble(self, error: Exception, call: Call) -> EngineUnavailable | EngineForbidden:
        self._session = None
        if not call.was_cut:
            self._breaker.failed()
        if _is_forbidden(error):
            return EngineForbidden(
                f"{self._place}: permission denied; add this user to the group that owns the socket "
                "(sudo usermod -aG docker $USER, then log in again), or point DOCKER_HOST at an engine of your own"
            )
        remedy = "start the engine, or name another one with DOCKER_HOST or `docker context use`"
        return CallFailed(f"{self._place}: does not answer ({_root_cause(error)}); {remedy}", sent=call.sent)

    def _refuse_unreached(self, error: errors.APIError) -> None:
        if error.response is not None and error.response.headers.get(PROXY_SAYS) == "engine-away":
            self._session = None
            self._breaker.failed()
            remedy = "start the engine, or correct the socket that the proxy passes on to"
            raise CallFailed(
                f"{self._place}: a socket proxy, and it reaches no engine; {remedy}", sent=False
            ) from error

    def _refuse_forbidden(self, error: errors.APIError) -> None:
        if error.status_code in (401, 403):
            raise EngineForbidden(
                f"{self._place}: answered {error.status_code}; allow this client what it asked for in the "
                f"authorization plug-in or socket proxy: {explanation(error)}"
            ) from error

    def _note_late(self, about: str, *, sent: bool) -> None:
        if not about or (self._late_at is not None and self._late_at != about):
            self._breaker.failed()
        self._late_at = about
        if not sent:
            self._session = None


def _settle(done: "asyncio.Future[Any]", gate: asyncio.Semaphore) -> None:
    gate.release()
    if not done.cancelled():
        done.exception()  # whoever waited has been answered; a late error has no reader


def _identify(client: APIClient, endpoint: Endpoint) -> EngineIdentity:
    info = client.info()
    is_here = (
        endpoint.socket_path is not None
        and sys.platform == "linux"
        and info.get("KernelVersion") == os.uname().release
        and "Docker Desktop" not in str(info.get("OperatingSystem"))
    )
    return EngineIdentity(
        engine_id=str(info.get("ID", ""))[:128], version=str(info.get("ServerVersion", ""))[:64], is_here=is_here
    )


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    queue: list[object] = [error]
    while queue and len(chain) < 16:
        link = queue.pop(0)
        if isinstance(link, BaseException) and link not in chain:
            chain.append(link)
            queue += [link.__cause__, link.__context__, *link.args, getattr(link, "reason", None)]
    return chain


def _is_forbidden(error: Exception) -> bool:
    return any(isinstance(link, PermissionError) for link in _chain(error))


def _root_cause(error: Exception) -> str:
    causes = [link for link in _chain(error) if isinstance(link, OSError) and link.errno is not None]
    cause = causes[0] if causes else error
    return printable(getattr(cause, "strerror", None) or f"{type(cause).__name__}: {cause}", chars_max=200)


def explanation(error: errors.APIError) -> str:
    """What the engine said, bounded and printable."""
    return printable(str(error.explanation or error), chars_max=400)


def checked(response: requests.Response) -> requests.Response:
    """The response, when the engine did what it was asked.

    Raises:
        docker.errors.APIError: it answered with an error.
    """
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        errors.create_api_error_from_http_exception(error)
    return response


def url(client: APIClient, *parts: str) -> str:
    """Address of something in the engine's API; every part is quoted."""
    return "/".join([f"{client.base_url}/v{client.api_version}", *(quote(part, safe="") for part in parts)])
