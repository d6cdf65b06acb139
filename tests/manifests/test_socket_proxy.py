"""The list of what PitCrew may ask of an engine: every row passes, and what is not on it never reaches one."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.manifests.listening_engine import ListeningEngine, ask, status
from tests.socket_proxy import CONFIG, ROOT, SocketProxy
from tests.waiting import eventually

pytestmark = pytest.mark.haproxy
ID = "0123456789abcdef" * 4
LIFECYCLE = {
    "GET /_ping": "ping",
    "HEAD /_ping": "ping",
    "GET /version": "version",
    "GET /v1.41/info": "info",
    "GET /v1.41/events?since=1": "events",
    "GET /v1.41/containers/json?all=1": "list",
    "GET /v1.41/containers/victim/json": "inspect",
    "GET /v1.24/containers/shop_web.1-a/json": "inspect",
    f"GET /containers/{ID}/json": "inspect",
    f"GET /v1.41/containers/{ID}/logs?stdout=1&tail=5": "logs",
    f"GET /v1.41/containers/{ID}/stats?stream=0": "stats",
    f"GET /v1.41/containers/{ID}/top?ps_args=-e": "top",
    "GET /v1.41/networks?filters=x": "networks",
    f"POST /v1.41/containers/{ID}/start": "start",
    f"POST /v1.41/containers/{ID}/stop?t=1": "stop",
    f"POST /v1.41/containers/{ID}/restart?t=10": "restart",
    f"POST /v1.41/containers/{ID}/unpause": "unpause",
    f"POST /v1.41/networks/{ID}/connect": "connect",
    f"POST /v1.41/networks/{ID}/disconnect": "disconnect",
}
EXEC = {
    f"HEAD /v1.41/containers/{ID}/archive?path=/a": "stat",
    f"GET /v1.41/containers/{ID}/archive?path=/a": "copy-out",
    f"PUT /v1.41/containers/{ID}/archive?path=/a": "copy-in",
    f"POST /v1.41/containers/{ID}/exec": "exec-create",
    f"POST /v1.41/exec/{ID}/start": "exec-start",
    f"GET /v1.41/exec/{ID}/json": "exec-look",
}
FOREIGN = [
    "GET /v1.41/images/json",
    "POST /v1.41/images/create?fromImage=debian",
    "POST /v1.41/images/load",
    "POST /v1.41/build",
    "POST /v1.41/build/prune",
    "POST /v1.41/commit?container=victim",
    "POST /v1.41/containers/create",
    "POST /v1.41/containers/prune",
    "DELETE /v1.41/containers/victim",
    "DELETE /v1.41/containers/victim/json",
    "POST /v1.41/containers/victim/kill",
    "POST /v1.41/containers/victim/pause",
    "POST /v1.41/containers/victim/rename?name=other",
    "POST /v1.41/containers/victim/update",
    "POST /v1.41/containers/victim/attach",
    "GET /v1.41/containers/victim/attach/ws",
    "GET /v1.41/containers/victim/export",
    "GET /v1.41/containers/victim/changes",
    "POST /v1.41/containers/victim/wait",
    "POST /v1.41/containers/victim/json",
    "GET /v1.41/containers/victim/start",
    "PUT /v1.41/containers/victim/start",
    "POST /v1.41/networks/create",
    "POST /v1.41/networks/prune",
    "GET /v1.41/networks/shop",
    "DELETE /v1.41/networks/shop",
    "GET /v1.41/volumes",
    "POST /v1.41/volumes/create",
    "DELETE /v1.41/volumes/data",
    "GET /v1.41/swarm",
    "POST /v1.41/swarm/init",
    "GET /v1.41/services",
    "GET /v1.41/nodes",
    "GET /v1.41/secrets",
    "POST /v1.41/secrets/create",
    "GET /v1.41/configs",
    "GET /v1.41/plugins",
    "POST /v1.41/plugins/pull?remote=x",
    "GET /v1.41/system/df",
    "POST /v1.41/auth",
    "POST /v1.41/session",
    "POST /grpc",
    "GET /debug/pprof/",
    "OPTIONS /v1.41/containers/json",
    "PATCH /v1.41/containers/json",
]
TRICKS = [
    "GET //containers/json",
    "GET /v1.41//containers/json",
    "GET /v1.41/containers//json",
    "GET /v1.41/containers/json/",
    "GET /v1.41/v1.41/containers/json",
    "GET /containers/json/../../images/json",
    "POST /v1.41/containers/victim/../create/start",
    "GET /v1.41/containers/../images/json",
    "GET /v1.41/containers/..%2fimages/json",
    "GET /v1.41/containers/%2e%2e/images/json",
    "GET /v1.41/containers/%2E%2E/json",
    "GET /v1.41/containers/victim%2fjson",
    "GET /v1.41/containers/a%00b/json",
    "GET /v1.41/containers/a%0a/json",
    "GET /v1.41/containers/a;b/json",
    "GET /v1.41/containers/a\\b/json",
    "GET /v1.41/containers/-a/json",
    "GET /v1.41/containers/./json",
    "GET /v1.41/Containers/json",
    "GET /v2.0/containers/json",
    "GET /v1.410/containers/json",
    "POST /v1.23/containers/victim/start",
    "POST /v1.12/containers/victim/start",
    f"POST /v1.41/exec/{ID}/resize",
    f"POST /v1.41/exec/{ID[:-1]}g/start",
    "POST /v1.41/containers/create?x=/containers/victim/start",
    "POST http://docker/v1.41/containers/create",
    "get /v1.41/containers/json",
]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path, since sockets lie in it."""
    made = Path(tempfile.mkdtemp(prefix="prox-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def engine(place: Path) -> Iterator[ListeningEngine]:
    """What lies behind the proxy."""
    made = ListeningEngine(place / "behind.sock")
    yield made
    made.close()


@pytest.fixture
def proxy(engine: ListeningEngine, place: Path, request: pytest.FixtureRequest) -> Iterator[SocketProxy]:
    """A proxy of the level that the test names."""
    made = SocketProxy(place / "front.sock", engine.path, level=request.param)
    yield made
    made.close()


at_lifecycle = pytest.mark.parametrize("proxy", ["lifecycle"], indirect=True)
at_exec = pytest.mark.parametrize("proxy", ["exec"], indirect=True)
at_both = pytest.mark.parametrize("proxy", ["lifecycle", "exec"], indirect=True)


def rows(proxy: SocketProxy, count: int) -> list[str]:
    """Which row let each request through; waited for, since a request is logged at its end."""
    eventually(lambda: len(proxy.passed()) >= count, what="every request in the log")
    return [one.row for one in proxy.passed()]


@at_exec
def test_every_row_of_the_list_passes_and_is_the_row_it_should_be(proxy: SocketProxy, engine: ListeningEngine) -> None:
    expected = {**LIFECYCLE, **EXEC}
    assert [status(proxy.path, line) for line in expected] == [200] * len(expected)
    assert engine.heard == list(expected), "a path or a query was changed on its way"
    assert rows(proxy, len(expected)) == list(expected.values())


@at_lifecycle
def test_without_the_level_for_commands_none_is_run_and_no_file_is_read_or_written(
    proxy: SocketProxy, engine: ListeningEngine
) -> None:
    assert [status(proxy.path, line) for line in LIFECYCLE] == [200] * len(LIFECYCLE)
    assert {line: status(proxy.path, line) for line in EXEC} == dict.fromkeys(EXEC, 403)
    assert engine.heard == list(LIFECYCLE)


@at_both
def test_what_is_not_on_the_list_answers_403_and_never_reaches_the_engine(
    proxy: SocketProxy, engine: ListeningEngine
) -> None:
    assert {line: status(proxy.path, line) for line in FOREIGN} == dict.fromkeys(FOREIGN, 403)
    assert engine.heard == []


@at_both
def test_no_spelling_of_a_path_gets_past_the_list(proxy: SocketProxy, engine: ListeningEngine) -> None:
    answered = {line: status(proxy.path, line) for line in TRICKS}
    assert set(answered.values()) <= {400, 403}, answered
    assert engine.heard == []


@at_exec
@pytest.mark.parametrize(
    "body",
    [
        '{"Privileged":true,"Cmd":["id"]}',
        '{"Cmd":["id"],"privileged" : true}',
        '{"Cmd":["id"],"PRIVILEGED":\n\ttrue}',
        '{"Privileged":false,"Cmd":["id"],"Privileged":true}',
        '{"Privile\\u0067ed":true,"Cmd":["id"]}',
        '{"Cmd":["id"],"\\u0050rivileged":true}',
        '{"Cmd":["' + "x" * 60000 + '"],"Privileged":true}',
    ],
    ids=["plain", "other-case", "white-space", "twice", "escaped", "escaped-first", "too-long"],
)
def test_a_command_gets_no_more_rights_than_its_container(
    proxy: SocketProxy, engine: ListeningEngine, body: str
) -> None:
    assert status(proxy.path, f"POST /v1.41/containers/{ID}/exec", body=body.encode()) == 403
    assert engine.heard == []


@at_exec
@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Container": ID, "User": "0", "Privileged": False, "Cmd": ["rm", "--", "/app/broken.flag"]}),
        json.dumps({"Privileged": False, "Cmd": ["sh", "-c", "echo \u00e4 > /tmp/x; x=\"'$(id)'\""]}),
        json.dumps({"Cmd": ["x" * 4096] * 14}, separators=(",", ":")),
        json.dumps({"User": "", "Privileged": False, "Env": None, "Cmd": ["id"]}, separators=(",", ":")),
    ],
    ids=["removal", "escapes", "long", "docker-command"],
)
def test_a_command_with_the_rights_of_its_container_passes(
    proxy: SocketProxy, engine: ListeningEngine, body: str
) -> None:
    assert status(proxy.path, f"POST /v1.41/containers/{ID}/exec", body=body.encode()) == 200
    assert len(engine.heard) == 1


@at_exec
@pytest.mark.parametrize("verb", ["start", "stop", "restart", "unpause"])
def test_what_starts_or_ends_a_container_takes_no_body(proxy: SocketProxy, engine: ListeningEngine, verb: str) -> None:
    line, body = f"POST /containers/victim/{verb}", b'{"Privileged":true}'
    assert status(proxy.path, line, body=body) == 403
    chunked = (
        f"{line} HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n".encode()
        + body
        + b"\r\n0\r\n\r\n"
    )
    with ask(proxy.path, chunked) as sock:
        assert sock.recv(4096).startswith(b"HTTP/1.1 403 ")
    assert engine.heard == []


@at_exec
def test_nothing_leaves_http_behind(proxy: SocketProxy, engine: ListeningEngine) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    for line in ("GET /v1.41/containers/json", f"POST /v1.41/containers/{ID}/start", f"POST /v1.41/exec/{ID}/start"):
        assert status(proxy.path, line, headers=upgrade) == 403
    assert engine.heard == []


@at_lifecycle
def test_a_second_request_on_a_connection_is_judged_like_the_first(proxy: SocketProxy, engine: ListeningEngine) -> None:
    first = "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
    second = "POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Length: 2\r\n\r\n{}"
    with ask(proxy.path, (first + second).encode()) as sock:
        answer = b""
        while answer.count(b"HTTP/1.1 ") < 2:
            answer += sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 403 " in answer
    assert engine.heard == ["GET /_ping"]


@at_exec
@pytest.mark.parametrize(
    "line",
    ["GET /v1.41/events", f"GET /v1.41/containers/{ID}/logs?follow=1", f"POST /v1.41/exec/{ID}/start"],
    ids=["events", "logs", "command"],
)
def test_a_stream_arrives_piece_by_piece(proxy: SocketProxy, engine: ListeningEngine, line: str) -> None:
    engine.streams = True
    with ask(proxy.path, f"{line} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode()) as sock:
        heard = b""
        for number in range(3):
            piece = b"piece %d\n" % number
            engine.tell(piece)
            while piece not in heard:
                data = sock.recv(4096)
                assert data, "the stream ended"
                heard += data


@at_lifecycle
def test_an_answer_that_never_came_is_not_made_up(proxy: SocketProxy, engine: ListeningEngine) -> None:
    """A 5xx would say that the engine refused, and what it had begun would be taken for not done."""
    engine.silent = True
    assert status(proxy.path, f"POST /v1.41/containers/{ID}/restart") == 0
    assert engine.heard == [f"POST /v1.41/containers/{ID}/restart"], "it was sent twice"


@at_lifecycle
def test_an_engine_that_is_not_reached_is_told_from_one_that_refuses(
    proxy: SocketProxy, engine: ListeningEngine
) -> None:
    engine.close()
    with ask(proxy.path, b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n") as sock:
        answer = sock.recv(4096).lower()
    assert answer.startswith(b"http/1.1 503 ")
    assert b"socket-proxy: engine-away\r\n" in answer


@pytest.mark.parametrize("level", ["", "everything"])
def test_a_level_that_does_not_exist_starts_nothing(place: Path, level: str) -> None:
    with pytest.raises(AssertionError, match="SOCKET_PROXY_LEVEL must be lifecycle or exec"):
        SocketProxy(place / "front.sock", place / "behind.sock", level=level)


def test_the_page_names_every_row_and_no_other() -> None:
    configured = set(re.findall(r"set-var\(txn\.row\) str\(([a-z-]+)\)", CONFIG.read_text())) - {"refused"}
    page = (ROOT / "docs" / "how-to" / "socket-proxy.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(
        dict.fromkeys([*LIFECYCLE.values(), *EXEC.values()])
    )
    assert set(LIFECYCLE.values()) | set(EXEC.values()) == configured
