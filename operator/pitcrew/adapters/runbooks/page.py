"""One runbook file: front matter that decides, Markdown for people, and where in the file each field stands.

The front matter is YAML without anchors, aliases, tags and duplicate keys; each problem is told with file, line and
field.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from pitcrew.core.errors import InvalidInput
from pitcrew.core.runbook import Runbook, RunbookHead
from pitcrew.core.untrusted import bound, clean, decode, printable

FILE_BYTES_MAX = 64 << 10
"""A runbook is a page or two."""
HEAD_BYTES_MAX = 8 << 10
"""The front matter alone."""
DEPTH_MAX = 8
"""How deep front matter nests; a signal's list of values is four deep."""

_FRONT_MATTER = re.compile(r"---\r?\n(.*?\r?\n)---\r?\n(.*)", re.S)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A runbook as it stands in its file; `source` is all of it, printable."""

    runbook: Runbook
    place: str
    source: str
    head: yaml.Node | None
    text_line: int

    def line_of(self, field: Sequence[int | str]) -> int:
        """The line in the file of a field, or of the text where none is named."""
        return _line_of(self.head, field) if field else self.text_line


def read_page(place: str, raw: bytes, origin: str) -> Page:
    """One runbook out of its bytes.

    Raises InvalidInput naming place, line and field of each problem, one a line.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise InvalidInput(f"{place}: {len(raw)} bytes, above {FILE_BYTES_MAX} for a runbook; shorten it")
    whole = decode(raw)
    split = _FRONT_MATTER.fullmatch(whole)
    if split is None:
        raise InvalidInput(f"{place}:1: no front matter; begin with a line ---, the fields, and a line --- again")
    head, text = split.groups()
    if len(head.encode()) > HEAD_BYTES_MAX:
        raise InvalidInput(f"{place}: front matter above {HEAD_BYTES_MAX} bytes; move prose below it")
    node, fields = _head(place, head)
    runbook = Runbook(
        head=fields,
        text=printable(bound(text, FILE_BYTES_MAX)),
        origin=origin,
        digest=hashlib.sha256(raw).hexdigest(),
    )
    line = whole[: split.start(2)].count("\n") + 1
    return Page(runbook=runbook, place=place, source=printable(whole), head=node, text_line=line)


def _head(place: str, head: str) -> tuple[yaml.Node, RunbookHead]:
    try:
        loader = _Plain(head)
        node = loader.get_single_node()
        if node is None:
            raise InvalidInput(f"{place}:1: no fields; id, title, cause, signals, ask, verify are needed")
        _refuse_unsafe(place, node, 0)
        return node, RunbookHead.model_validate(loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise InvalidInput(f"{place}:{line}: {clean(error.problem or 'no YAML', 200)}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise InvalidInput("\n".join(_told(place, head, error))) from None
        raise InvalidInput(f"{place}:1: no YAML that front matter can hold: {clean(str(error), 200)}") from None


class _Plain(yaml.SafeLoader):
    """YAML without aliases: they are refused where they stand, before anything grows."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not allowed", event.start_mark)
        if getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, "tags are not allowed", event.start_mark)
        return super().compose_node(parent, index)


def _refuse_unsafe(place: str, node: yaml.Node, depth: int) -> None:
    line = node.start_mark.line + 2
    if depth > DEPTH_MAX:
        raise InvalidInput(f"{place}:{line}: nested deeper than {DEPTH_MAX} levels")
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if str(key.value) in names:
                where = key.start_mark.line + 2
                raise InvalidInput(f"{place}:{where}: {clean(str(key.value), 80)}: named twice; keep one")
            names.add(str(key.value))
            _refuse_unsafe(place, value, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_unsafe(place, item, depth + 1)


def _told(place: str, head: str, error: ValidationError) -> Sequence[str]:
    root = yaml.compose(head, Loader=_Plain)
    told = []
    found = error.errors(include_url=False, include_input=False, include_context=False)
    for problem in (one for one in found if not _follows(one, found)):
        field = ".".join(str(part) for part in problem["loc"])
        told.append(f"{place}:{_line_of(root, problem['loc'])}: {clean(field, 120)}: {_worded(problem)}")
    return list(dict.fromkeys(told))


def _follows(problem: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is only too short since what stands in it was refused."""
    loc = problem["loc"]
    deeper = any(len(one["loc"]) > len(loc) and one["loc"][: len(loc)] == loc for one in found)
    return problem["type"] == "too_short" and deeper


def _worded(problem: Mapping[str, Any]) -> str:
    """What is wrong and what to do; most messages of pydantic name what is allowed."""
    match problem["type"]:
        case "missing":
            return "required; add it"
        case "extra_forbidden":
            return "not permitted; remove it, or look for a misspelt field"
        case _:
            return clean(problem["msg"].removeprefix("Value error, "), 900)


def _line_of(node: yaml.Node | None, path: Sequence[int | str]) -> int:
    """The line in the file of the deepest part of a path that is there."""
    line = node.start_mark.line if node else 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 2
