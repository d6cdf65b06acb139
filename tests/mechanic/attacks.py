"""What every lane is attacked with: fields altered one by one, and texts that a shell, a path or a query would obey."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from pitcrew.adapters.mechanic.wire import ERRORS
from pitcrew.core.action import Restart, Start
from pitcrew.core.errors import Refused
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from tests.mechanic.lane import Lane

OPEN = "0" * 64


def attacked(lane: Lane, permit: Permit, plan: Plan, match: str | None = None) -> None:
    """By the front door and by `execute` straight: refused, and nothing happened."""
    before = lane.effects
    for attempt in (lane.carry_out, lane.execute):
        lane.attacks += 1
        with pytest.raises(Refused, match=match):
            asyncio.run(attempt(permit, plan))
    assert lane.effects == before


def planned(lane: Lane, name: str = "alpha") -> Plan:
    return asyncio.run(lane.plan(name))


FIELDS: dict[str, Callable[[Permit], Permit]] = {
    "serial": lambda permit: replace(permit, serial="0" * 32),
    "plan_digest": lambda permit: replace(permit, plan_digest=OPEN),
    "direction": lambda permit: replace(permit, direction=Direction.UNDO),
    "mechanic": lambda permit: replace(permit, mechanic="web2"),
    "issued_at": lambda permit: replace(permit, issued_at=permit.issued_at - timedelta(seconds=1)),
    "expires_at": lambda permit: replace(permit, expires_at=permit.expires_at + timedelta(days=1)),
    "signature": lambda permit: replace(permit, signature=f"{'00' * 32}{permit.signature[64:]}"),
}

CHANGES: dict[str, Any] = {
    "service": "default/beta",
    "incident": "alpha-0",
    "attempt": 2,
    "target": "process/other",
    "target_id": "process:default/beta:0",
    "target_digest": OPEN,
    "instance": "1:2:3",
    "action": Restart(grace_s=2),
    "undo": Start(),
    "irreversible": "",
    "verify_for_s": 11,
    "deviations": (),
    "policy_digest": OPEN,
}

PAYLOADS = (
    "; touch injected",
    "$(touch injected)",
    "`touch injected`",
    "| touch injected",
    "-rf",
    "--help",
    "../../../../etc/passwd",
    "default/../alpha",
    "alpha\x00",
    "alpha\ntouch injected",
    "\ud7ff\u202ealpha",
    "'; DROP TABLE targets; --",
    "{{7*7}}%s%n",
    "a" * 150,
)
TOOLS: dict[str, dict[str, Any]] = {
    "list_targets": {},
    "inspect": {"service": "alpha"},
    "logs": {"service": "alpha", "lines_max": 10, "bytes_max": 100},
    "stats": {"service": "alpha"},
    "makeup": {"service": "alpha"},
    "processes": {"service": "alpha", "lines_max": 10},
    "events": {"service": "alpha", "after": "", "wait_s": 0},
    "probe": {"service": "alpha", "probes": ["exec-0"]},
    "prepare": {"permit": "{}", "plan": "{}"},
    "look_back": {"permit": "{}", "plan": "{}"},
    "execute": {"permit": "{}", "plan": "{}", "trace": "{}"},
    "stop": {"reason": "x"},
}
HARMLESS = {("events", "after"), ("stop", "reason")}
"""Parameters that are any text: a cursor that is unknown begins anew, and a reason is kept, on one line."""


async def injected(lane: Lane) -> int:
    """Write every payload into every parameter of every tool; how many calls that were, each refused."""
    tried = 0
    headers = {"Authorization": f"Bearer {lane.tokens['driver']}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{lane.url}/mcp", http_client=http)) as client,
    ):
        listed = {tool.name: set(tool.input_schema["properties"]) for tool in (await client.list_tools()).tools}
        assert {name: set(parameters) for name, parameters in TOOLS.items()} == listed
        for tool, parameters in TOOLS.items():
            if tool == "stop":
                continue
            for parameter in parameters:
                for payload in PAYLOADS:
                    value = [payload] if parameter == "probes" else payload
                    answer = await client.session.call_tool(tool, {**parameters, parameter: value})
                    text = "\n".join(getattr(part, "text", "") for part in answer.content)
                    tried += 1
                    if (tool, parameter) in HARMLESS:
                        assert answer.is_error is (len(payload) > 64), text
                        continue
                    assert answer.is_error, (tool, parameter, payload, text)
                    known = any(f": {code}: " in text for code in ERRORS) or "validation error" in text
                    assert known, (tool, parameter, payload, text)
    return tried
