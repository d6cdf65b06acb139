"""Nothing of a Mechanic's server goes out unguarded: its routes and tools, as the product composes them."""

import asyncio
from pathlib import Path

from starlette.responses import Response

from pitcrew.core.caller import Role
from pitcrew.core.resource import TargetKind
from pitcrew.entrypoints.servers.mechanic import ACCESS
from pitcrew.entrypoints.servers.mechanic_process import MechanicProcess
from pitcrew.entrypoints.servers.unguarded import unguarded
from tests.fakes.world import FakeWorld
from tests.mechanic.garage import parts


def served(tmp_path: Path) -> MechanicProcess:
    """A Mechanic before it is wrapped and listens."""
    inner = FakeWorld(tmp_path)
    return MechanicProcess(parts=parts(tmp_path / "mechanic", runtimes={TargetKind.DOCKER: inner.runtime}))


def test_every_route_and_tool_is_in_the_table_and_what_changes_something_asks_for_a_permit_or_who(
    tmp_path: Path,
) -> None:
    process = served(tmp_path)
    assert unguarded(process.app, ACCESS, asyncio.run(process.server.list_tools())) == []


def test_a_tool_or_route_that_somebody_adds_is_found(tmp_path: Path) -> None:
    process = served(tmp_path)
    process.server.tool(name="shell")(lambda: "")
    process.app.add_route("/reset", lambda request: Response(), methods=["POST"])
    assert unguarded(process.app, ACCESS, asyncio.run(process.server.list_tools())) == [
        "/reset: not in the table, so that everybody is refused; add it",
        "tool shell: not in the table, so that everybody is refused; add it",
    ]


def test_what_does_not_only_read_asks_for_a_permit_or_the_operator(tmp_path: Path) -> None:
    tools = asyncio.run(served(tmp_path).server.list_tools())
    acting = {tool.name for tool in tools if not (tool.annotations and tool.annotations.read_only_hint)}
    assert acting == {"prepare", "look_back", "execute", "stop"}
    assert {name: ACCESS.tools[name].otherwise for name in acting - {"stop"}} == dict.fromkeys(
        acting - {"stop"}, "Permit"
    )
    assert (ACCESS.tools["stop"].roles, ACCESS.tools["stop"].otherwise) == (frozenset({Role.OPERATOR}), "Nobody")
