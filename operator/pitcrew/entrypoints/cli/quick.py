"""Plain arguments without pydantic: typer loads it to turn a word into a word, which is most of the time of a `get`.

Only single words, paths, choices and flags without a variable are taken over; what is not known here, and another
version of typer, stays as it is, and only slower.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command


def quick(app: typer.Typer) -> Callable[[], object]:
    """The application as a command that is ready at once."""
    group: Any = get_command(app)
    for param in _params(group):
        if _is_plain(param):
            param._runtime_param = _Plain(param.type_descriptor.annotation)
    return lambda: group()


def _params(command: Any) -> Iterator[Any]:
    """Every parameter, the option for help included, which typer makes when it is first asked for."""
    yield from (*command.params, *filter(None, [command.get_help_option(typer.Context(command))]))
    for inner in getattr(command, "commands", {}).values():
        yield from _params(inner)


def _is_plain(param: Any) -> bool:
    """Whether it takes one word of a kind that is known here, and typer has not made up its mind about it."""
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if getattr(param, "_runtime_param", param) is not None or param.multiple:
        return False
    if kind is bool:
        return not param.envvar
    return kind in (str, Path) or (isinstance(kind, type) and issubclass(kind, StrEnum))


class _Plain:
    """Turns one word into a `str`, a `Path` or a choice; a flag is what it is."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value. Raises BadParameter, naming what is allowed."""
        if value is None:
            return None
        try:
            return self._kind(value)
        except ValueError:
            allowed = ", ".join(repr(str(one)) for one in self._kind) if issubclass(self._kind, StrEnum) else ""
            raise typer.BadParameter(f"{value!r} is not one of {allowed}.", ctx=ctx, param=param) from None
