"""`pitcrew mechanic` as people and other programs use it: over HTTP, over standard input, and through a restart."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

from pitcrew.core.errors import Refused
from pitcrew.core.observation import Blind, RuntimeFacts
from pitcrew.core.resource import TargetKind
from tests.mechanic.lane import ROOT, Lane, start_targets
from tests.waiting import eventually

READS = ("list_targets", "inspect", "logs", "stats", "makeup", "processes", "events", "probe")


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    """A Mechanic on loopback without tokens."""
    lane = Lane(root=tmp_path, services=("alpha",), with_tokens=False)
    lane.start()
    try:
        start_targets(lane)
        yield lane
    finally:
        lane.close()


async def used(client: Client) -> None:
    """Everything that an MCP client who knows nothing of PitCrew can read, in either generation of the protocol."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(READS) < set(tools)
    for name in READS:
        tool = tools[name]
        assert tool.description
        assert tool.output_schema is not None
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        arguments = {} if name in ("list_targets", "events") else {"service": "alpha"}
        answer = await client.call_tool(name, arguments)
        assert not answer.is_error, answer
        assert answer.structured_content
    assert tools["execute"].annotations is not None
    assert tools["execute"].annotations.destructive_hint
    answer = await client.call_tool("execute", {"permit": "{}", "plan": "{}", "trace": "{}"})
    assert answer.is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_any_mcp_client_sees_and_uses_the_read_tools_over_http(lane: Lane, mode: str) -> None:
    async def play() -> None:
        async with Client(f"{lane.url}/mcp", mode=mode) as client:
            await used(client)

    asyncio.run(play())
    assert lane.effects == 1


def test_any_mcp_client_sees_and_uses_the_read_tools_over_stdio(lane: Lane) -> None:
    lane.end()
    program, *arguments = lane.argv
    environ = {"PYTHONPATH": str(ROOT / "operator"), "PATH": "/usr/bin:/bin", "HOME": str(lane.root)}
    started = StdioServerParameters(command=program, args=[*arguments, "--stdio"], env=environ)

    async def play() -> None:
        async with Client(started) as client:
            await used(client)
            with pytest.raises(MCPError, match="lacks the role operator"):
                await client.call_tool("stop", {"reason": "x"})

    asyncio.run(play())
    assert lane.effects == 1


def test_it_ends_when_it_is_told_to_also_while_nobody_speaks_to_it(lane: Lane) -> None:
    lane.end()
    assert lane.process is not None
    assert lane.process.returncode == 0
    environ = {"PYTHONPATH": str(ROOT / "operator"), "PATH": "/usr/bin:/bin", "HOME": str(lane.root)}
    with subprocess.Popen(
        [*lane.argv, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as silent:
        assert silent.stderr is not None
        while b"manifests read" not in silent.stderr.readline():
            pass
        silent.send_signal(signal.SIGTERM)
        assert silent.wait(30) == 0
        assert silent.stdout is not None
        assert silent.stdout.read() == b""


def test_a_client_goes_on_after_the_mechanic_was_killed_and_came_back(lane: Lane) -> None:
    service = lane.service()

    async def play() -> None:
        mechanics = lane.connected()
        runtime = mechanics.runtimes[TargetKind.PROCESS]
        runtime.declare([service])
        wakes = runtime.wakes()
        try:
            assert isinstance((await mechanics.observer.look(service)).sight, RuntimeFacts)
            assert await anext(wakes) == service.key
            lane.kill()
            assert isinstance((await mechanics.observer.look(service)).sight, Blind)
            await asyncio.to_thread(lane.start)
            async with asyncio.timeout(30):
                assert await anext(wakes) == service.key
                while isinstance((await mechanics.observer.look(service)).sight, Blind):
                    await asyncio.sleep(0.1)
        finally:
            await mechanics.close()

    asyncio.run(play())


def test_it_says_whether_it_serves_and_refuses_what_names_another_host(lane: Lane) -> None:
    assert httpx2.get(f"{lane.url}/healthz").text == "ok\n"
    assert httpx2.get(f"{lane.url}/healthz", headers={"Host": "evil.example"}).status_code == 421
    foreign = httpx2.post(f"{lane.url}/mcp", headers={"Origin": "http://evil.example"}, json={})
    assert foreign.status_code == 403


def test_an_option_that_cannot_be_used_is_named(lane: Lane) -> None:
    environ = {"PYTHONPATH": str(ROOT / "operator"), "PATH": "/usr/bin:/bin", "HOME": str(lane.root)}

    def said(*more: str) -> tuple[int, str]:
        ended = subprocess.run([*lane.argv, *more], env=environ, capture_output=True, text=True, timeout=60)
        return ended.returncode, ended.stderr

    assert "uses this state directory" in said("--listen", "127.0.0.1:0")[1]
    lane.end()
    code, text = said("--listen", "0.0.0.0:0")
    assert code == 3
    assert "--listen" in text
    assert "without tokens" in text
    assert "--id" in said("--id", "Not A Name")[1]


def test_a_key_file_that_comes_later_counts_from_then_on(lane: Lane) -> None:
    keys = lane.keys.read_bytes()
    lane.keys.unlink()
    plan = asyncio.run(lane.plan())
    with pytest.raises(Refused, match="no permit can be verified"):
        asyncio.run(lane.carry_out(lane.permit(plan), plan))
    lane.keys.write_bytes(keys)
    lane.keys.chmod(0o644)
    asyncio.run(lane.carry_out(lane.permit(plan), plan))
    eventually(lambda: lane.effects == 2, what="the restart")
