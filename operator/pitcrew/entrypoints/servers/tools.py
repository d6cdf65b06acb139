"""The table of access, held against calls of MCP tools."""

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from starlette.requests import Request

from pitcrew.core.caller import Caller
from pitcrew.core.untrusted import clean
from pitcrew.entrypoints.servers.access import CALLER, TOKENS, Access, Need

REFUSED = -32003
"""The code of a refusal: one of those that JSON-RPC leaves to servers."""
_NAME_BYTES_MAX = 100
_NOBODY = Need()


class ToolGuard:
    """`MCPServer(middleware=[ToolGuard(access)])`: what is not in the table, or not for this caller, is not called.

    Over stdio there is no token: whoever started the server calls it, which is as much as being on this machine.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Raises MCPError for a call that is refused; everything else passes."""
        if ctx.method == "tools/call":
            name = str((ctx.params or {}).get("name", ""))
            need, caller = self._access.tools.get(name, _NOBODY), caller_of(ctx)
            if not need.met_by(caller, tokens=_tokens(ctx)):
                who = caller.name if caller else "a caller without a token"
                raise MCPError(code=REFUSED, message=f"{who} lacks the role {need} for {clean(name, _NAME_BYTES_MAX)}")
        return await call_next(ctx)


def caller_of(ctx: ServerRequestContext[Any, Any]) -> Caller | None:
    """Who calls a tool, by their token; in a tool itself, of `ctx.request_context`."""
    found = ctx.request.scope.get(CALLER) if isinstance(ctx.request, Request) else None
    return found if isinstance(found, Caller) else None


def _tokens(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether tokens are configured; a request that did not come through the middleware counts as if."""
    return bool(ctx.request.scope.get(TOKENS, True)) if isinstance(ctx.request, Request) else False
