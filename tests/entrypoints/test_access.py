"""The table of access: what it lets pass, and what `unguarded` finds that it forgot."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pitcrew.core.caller import Caller, Role
from pitcrew.core.errors import Unavailable
from pitcrew.entrypoints.servers.access import PUBLIC, Access, Need, permit, reading, role
from pitcrew.entrypoints.servers.serving import Listen
from pitcrew.entrypoints.servers.tools import REFUSED, ToolGuard, caller_of
from pitcrew.entrypoints.servers.unguarded import unguarded
from tests.entrypoints.listening import House, answered, running, token_file
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
READER = Caller(name="r", roles=frozenset({Role.READER}))
DRIVER = Caller(name="d", roles=frozenset({Role.DRIVER}))


@pytest.mark.parametrize(
    ("need", "nobody_without_file", "nobody", "reader", "driver"),
    [
        (PUBLIC, True, True, True, True),
        (reading(Role.READER), True, False, True, False),
        (permit(Role.DRIVER), True, False, False, True),
        (role(Role.DRIVER), False, False, False, True),
        (role(Role.DRIVER, Role.READER), False, False, True, True),
        (Need(), False, False, False, False),
    ],
    ids=["public", "reading", "permit", "role", "either role", "nothing said"],
)
def test_who_passes(need: Need, nobody_without_file: bool, nobody: bool, reader: bool, driver: bool) -> None:
    assert need.met_by(None, tokens=False) is nobody_without_file
    assert need.met_by(None, tokens=True) is nobody
    assert need.met_by(READER, tokens=True) is reader
    assert need.met_by(DRIVER, tokens=True) is driver


def test_a_path_is_found_as_it_is_spelt_before_one_with_a_parameter() -> None:
    access = Access(routes={"GET /v1/{id}": PUBLIC, "GET /v1/all": role(Role.READER), "POST /v1/{id}": Need()})
    assert access.methods("/v1/all") == {"GET": role(Role.READER), "HEAD": role(Role.READER)}
    assert access.methods("/v1/x") == {"GET": PUBLIC, "HEAD": PUBLIC, "POST": Need()}
    assert not access.methods("/v1/")
    assert not access.methods("/v1/x/y")
    assert not access.methods("/v1/x\n")
    assert not access.methods("/v1x/a")


def application() -> FastAPI:
    app, router = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), APIRouter(prefix="/v1")

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    @router.post("/approvals/{id}")
    async def approve(id: str) -> str:
        return id

    app.include_router(router)
    return app


ROUTES = {"GET /healthz": PUBLIC, "POST /v1/approvals/{id}": role(Role.APPROVER)}


def test_a_table_that_says_something_of_every_route_is_complete() -> None:
    assert unguarded(application(), Access(routes=ROUTES)) == []


@pytest.mark.parametrize("need", [PUBLIC, reading(Role.READER)], ids=["public", "reading"])
def test_a_route_that_changes_something_and_asks_for_no_role_is_found(need: Need) -> None:
    access = Access(routes={**ROUTES, "POST /v1/approvals/{id}": need})
    assert unguarded(application(), access) == ["POST /v1/approvals/{id}: may change something and asks for no role"]


def test_a_new_route_is_found_wherever_it_was_added() -> None:
    app, router = application(), APIRouter()
    app.delete("/v1/approvals/{id}")(lambda id: id)
    router.put("/inner")(lambda: 1)
    outer = APIRouter(prefix="/outer")
    outer.include_router(router)
    app.include_router(outer)
    app.router.routes.append(Mount("/mounted", routes=[Route("/x", _text, methods=["PATCH"])]))
    app.mount("/files", StaticFiles(directory=ROOT / "docs"))
    app.websocket("/socket")(_socket)
    found = unguarded(app, Access(routes=ROUTES))
    assert {line.partition(":")[0] for line in found} == {
        "DELETE /v1/approvals/{id}",
        "/outer/inner",
        "/mounted/x",
        "/files (an application of its own)",
        "/socket (APIWebSocketRoute)",
    }


def test_an_entry_that_is_served_nowhere_is_found() -> None:
    access = Access(routes={**ROUTES, "GET /gone": PUBLIC})
    assert unguarded(application(), access) == ["/gone: in the table, and served nowhere"]


async def _text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("x")


async def _socket() -> None: ...


# --- Tools ---

TOOLS = Access(
    routes={"POST /mcp": reading(Role.READER, Role.DRIVER, Role.OPERATOR)},
    tools={"look": reading(Role.READER, Role.DRIVER), "execute": permit(Role.DRIVER), "stop": role(Role.OPERATOR)},
)
READS = ToolAnnotations(read_only_hint=True)
CHANGES = ToolAnnotations(read_only_hint=False)


class Bench:
    """An MCP server, and which of its tools were called by whom."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.server = MCPServer("Mechanic", middleware=[ToolGuard(TOOLS)])
        self._offer("look", READS)
        self._offer("execute", CHANGES)
        self._offer("stop", CHANGES)
        self._offer("forgotten", CHANGES)

    @property
    def app(self) -> Starlette:
        off = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        return self.server.streamable_http_app(stateless_http=True, json_response=True, transport_security=off)

    def _offer(self, name: str, annotations: ToolAnnotations) -> None:
        @self.server.tool(name=name, annotations=annotations)
        async def tool(ctx: Context) -> str:
            self.called.append(f"{name} by {caller_of(ctx.request_context) or 'somebody'}")
            return name


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_tool_that_is_not_in_the_table_is_found_and_one_that_changes_something_for_everybody(bench: Bench) -> None:
    tools = asyncio.run(bench.server.list_tools())
    access = Access(routes=TOOLS.routes, tools={**TOOLS.tools, "execute": reading(Role.DRIVER), "gone": PUBLIC})
    assert unguarded(bench.app, access, tools) == [
        "tool execute: may change something and asks for neither a role nor a permit",
        "tool forgotten: not in the table, so that everybody is refused; add it",
        "tool gone: in the table, and not offered",
    ]


def test_a_tool_without_annotations_counts_as_one_that_changes_something() -> None:
    server = MCPServer("x")
    server.tool(name="look")(lambda: "x")
    access = Access(routes={"POST /mcp": PUBLIC}, tools={"look": PUBLIC})
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    assert len(unguarded(app, access, asyncio.run(server.list_tools()))) == 1


async def called(house: House, tool: str, who: str | None) -> str:
    """What a client gets for a call: the text of the tool, or the refusal."""
    headers = {"Authorization": f"Bearer {house.tokens[who]}"} if who else {}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers))
        there = streamable_http_client(f"http://{house.address}/mcp", http_client=http)
        client = await stack.enter_async_context(Client(there))
        try:
            result = await client.call_tool(tool, {})
        except MCPError as error:
            return error.error.message if error.error.code == REFUSED else f"failed: {error}"
        return str(result.content[0].text)  # type: ignore[union-attr]


@pytest.fixture
def workshop(bench: Bench, tmp_path: Path) -> Iterator[House]:
    file = tmp_path / "tokens.json"
    tokens = token_file(file)
    with running(bench.app, TOOLS, listen=Listen(address="127.0.0.1:0", tokens=file), tokens=tokens) as house:
        yield house


def test_an_mcp_client_calls_what_its_token_may_and_nothing_else(bench: Bench, workshop: House) -> None:
    asked = [(tool, who) for who in ("reader", "driver", "operator") for tool in (*TOOLS.tools, "forgotten")]
    found = {pair: asyncio.run(called(workshop, *pair)) for pair in asked}
    passed = {("look", "reader"), ("look", "driver"), ("execute", "driver"), ("stop", "operator")}
    assert {pair for pair, text in found.items() if text == pair[0]} == passed
    assert found["stop", "driver"] == "driver lacks the role operator for stop"
    assert found["forgotten", "operator"] == "operator lacks the role nobody for forgotten"
    assert len(bench.called) == len(passed)
    assert "stop by operator (operator)" in bench.called


def test_an_mcp_client_without_a_token_reaches_no_tool(bench: Bench, workshop: House) -> None:
    for method in ("GET", "DELETE", "PUT"):
        assert workshop.ask("/mcp", method=method, who="driver").status == 405
    assert workshop.ask("/mcp", method="POST", body=b"{}").status == 401
    assert workshop.ask("/mcp", method="POST", body=b"{}", who="approver").status == 403
    assert bench.called == []


def test_on_loopback_without_tokens_reading_and_permits_pass_and_roles_do_not(bench: Bench) -> None:
    with running(bench.app, TOOLS) as house:
        found = {tool: asyncio.run(called(house, tool, None)) for tool in TOOLS.tools}
    assert found == {
        "look": "look",
        "execute": "execute",
        "stop": "a caller without a token lacks the role operator for stop",
    }
    assert bench.called == ["look by somebody", "execute by somebody"]


def test_in_process_and_over_stdio_it_is_as_on_loopback_without_tokens(bench: Bench) -> None:
    async def play() -> None:
        async with Client(bench.server) as client:
            assert not (await client.call_tool("look", {})).is_error
            with pytest.raises(MCPError, match="lacks the role operator"):
                await client.call_tool("stop", {})

    asyncio.run(play())
    assert bench.called == ["look by somebody"]


# --- The end ---

ALONE = """
import asyncio, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from pitcrew.entrypoints.servers.access import PUBLIC, Access
from pitcrew.entrypoints.servers.serving import Listen, serve

async def wait(request):
    print("begun", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return PlainTextResponse("done")

app = Starlette(routes=[Route("/wait", wait)])
access = Access(routes={"GET /wait": PUBLIC})
ready = lambda address: print(address.port, flush=True)
asyncio.run(serve(app, Listen(address="127.0.0.1:0"), access, ready=ready))
print("ended", flush=True)
"""


def test_sigterm_ends_the_listening_at_once_and_the_requests_under_way_when_they_are_done() -> None:
    environ = {"PYTHONPATH": str(ROOT / "operator"), "PATH": "/usr/bin"}
    command = [sys.executable, "-c", ALONE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), timeout=20) as there:
                there.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert process.stdout.readline() == "begun\n"
                process.terminate()
                eventually(lambda: _closed(port), what="the end of the listening")
                process.stdin.write("\n")
                process.stdin.flush()
                assert answered(there).body == b"done"
            assert process.stdout.readline() == "ended\n"
            assert process.wait(20) == 0
        finally:
            process.kill()


def _closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_application_that_cannot_begin_is_said_and_nothing_listens() -> None:
    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        if app.routes == []:
            raise RuntimeError("no disk")
        yield

    app = Starlette(lifespan=broken)
    with pytest.raises(Unavailable, match="cannot begin"), running(app, Access(routes={})):
        pytest.fail("it listens")
