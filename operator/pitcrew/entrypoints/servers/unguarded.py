"""Finds what the table of a server forgot: used by a test of every server, so that nothing new goes out unguarded."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from pitcrew.entrypoints.servers.access import Access, Need

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


class Tool(Protocol):
    """An MCP tool as `await server.list_tools()` gives it."""

    @property
    def name(self) -> str: ...
    @property
    def annotations(self) -> Any: ...


def unguarded(app: Starlette, access: Access, tools: Iterable[Tool] = ()) -> list[str]:
    """Each route and tool that nobody decided about, or that changes something and asks for neither role nor permit,
    in a sentence each; and each entry of the table that is served nowhere. Empty when all is well.

    `app` is any Starlette application, FastAPI's and the MCP SDK's included, before it is wrapped.
    """
    given = list(tools)
    served = list(_served(app.routes))
    return [*_of_routes(served, access), *_of_tools(given, access, bool(access.tools))]


def _of_routes(served: Sequence[tuple[str, frozenset[str] | None]], access: Access) -> Iterator[str]:
    for path, methods in served:
        declared = access.declared(path)
        if not declared:
            yield f"{path}: not in the table, so that everybody is refused; add it"
            continue
        for method in sorted(methods if methods is not None else declared):
            need = declared.get(method)
            if need is None:
                yield f"{method} {path}: not in the table, so that everybody is refused; add it"
            elif method not in SAFE and not (access.tools and methods is None) and not _guards(need):
                yield f"{method} {path}: may change something and asks for no role"
    for path in access.paths:
        if path not in {one for one, _ in served}:
            yield f"{path}: in the table, and served nowhere"


def _of_tools(tools: Sequence[Tool], access: Access, expected: bool) -> Iterator[str]:
    for tool in tools:
        need = access.tools.get(tool.name)
        reads = tool.annotations is not None and tool.annotations.read_only_hint is True
        if need is None:
            yield f"tool {tool.name}: not in the table, so that everybody is refused; add it"
        elif not reads and not _guards(need):
            yield f"tool {tool.name}: may change something and asks for neither a role nor a permit"
    if expected:
        for name in sorted(set(access.tools) - {tool.name for tool in tools}):
            yield f"tool {name}: in the table, and not offered"


def _guards(need: Need) -> bool:
    return need.otherwise in ("Nobody", "Permit", "Signature")


def _served(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, frozenset[str] | None]]:
    """Every path with its methods, None where it takes any."""
    for route in routes:
        if isinstance(route, Mount):
            yield from _served(route.routes, prefix + route.path)
            if not route.routes:
                yield f"{prefix}{route.path} (an application of its own)", frozenset()
        elif isinstance(route, Route):
            yield prefix + route.path, frozenset(route.methods) if route.methods else None
        elif hasattr(route, "effective_route_contexts"):  # a router that FastAPI included, and keeps as it is
            for one in route.effective_route_contexts():
                yield prefix + one.path, frozenset(one.methods or ()) or None
        else:
            yield f"{prefix}{getattr(route, 'path', route)!s} ({type(route).__name__})", frozenset({"any method"})
