"""Runbooks as Markdown files with front matter: the built-in ones, and directories of the operator's user.

A runbook decides what PitCrew proposes, so only its owner may be able to write it. The front matter is YAML without
anchors, aliases, tags and duplicate keys; each problem is told with file, line and field.
"""

import os
import re
import stat
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from pitcrew.core.errors import InvalidInput
from pitcrew.core.runbook import Runbook, RunbookHead
from pitcrew.core.untrusted import bound, clean, decode, printable

FILE_BYTES_MAX = 64 << 10
"""A runbook is a page or two."""
HEAD_BYTES_MAX = 8 << 10
"""The front matter alone."""
RUNBOOKS_MAX = 500
"""Of one directory; retrieval looks at each of them."""
DEPTH_MAX = 8
"""How deep front matter nests; a signal's list of values is four deep."""
BUILT_IN = "built-in"
"""Origin of a runbook of the package."""

_FRONT_MATTER = re.compile(r"---\r?\n(.*?\r?\n)---\r?\n(.*)", re.S)


class RunbookFiles:
    """The RunbookSource port on disk: what was there when it was loaded."""

    def __init__(self, found: Sequence[Runbook]) -> None:
        self._found = tuple(found)

    @classmethod
    def load(cls, directories: Sequence[Path] = ()) -> "RunbookFiles":
        """The built-in runbooks, then those of each directory; a later one replaces an earlier one with the same id.

        Raises InvalidInput naming file, line and field of every problem there is, one a line.
        """
        found = {runbook.head.id: runbook for runbook in built_in()}
        problems: list[str] = []
        for directory in directories:
            for runbook in _of_directory(directory, problems):
                found[runbook.head.id] = runbook
        if problems:
            raise InvalidInput("\n".join(problems))
        return cls(tuple(found.values()))

    def runbooks(self) -> Sequence[Runbook]:
        return self._found


def built_in() -> Sequence[Runbook]:
    """The runbooks of the package, by file name."""
    pages = sorted((page for page in files("pitcrew").joinpath("runbooks").iterdir()), key=lambda page: page.name)
    return tuple(parsed(page.name, page.read_bytes(), BUILT_IN) for page in pages if page.name.endswith(".md"))


def parsed(place: str, raw: bytes, origin: str) -> Runbook:
    """One runbook out of its bytes.

    Raises InvalidInput naming place, line and field of each problem, one a line.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise InvalidInput(f"{place}: {len(raw)} bytes, above {FILE_BYTES_MAX} for a runbook; shorten it")
    split = _FRONT_MATTER.fullmatch(decode(raw))
    if split is None:
        raise InvalidInput(f"{place}:1: no front matter; begin with a line ---, the fields, and a line --- again")
    head, text = split.groups()
    if len(head.encode()) > HEAD_BYTES_MAX:
        raise InvalidInput(f"{place}: front matter above {HEAD_BYTES_MAX} bytes; move prose below it")
    return Runbook(head=_head(place, head), text=printable(bound(text, FILE_BYTES_MAX)), origin=origin)


def _head(place: str, head: str) -> RunbookHead:
    try:
        node = yaml.compose(head, Loader=_Plain)
        if node is None:
            raise InvalidInput(f"{place}:1: no fields; id, title, cause, signals, ask, verify are needed")
        _refuse_unsafe(place, node, 0)
        return RunbookHead.model_validate(yaml.load(head, Loader=_Plain))
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
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in problem["loc"])
        told.append(f"{place}:{_line_of(root, problem['loc'])}: {clean(field, 120)}: {clean(problem['msg'], 300)}")
    return list(dict.fromkeys(told))


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


# Directories of people


def _of_directory(directory: Path, problems: list[str]) -> Sequence[Runbook]:
    try:
        _refuse_writable(directory, os.lstat(directory), directory=True)
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".md" and path.name[0] not in "._")
    except (OSError, InvalidInput) as error:
        problems.append(f"{directory}: {error.strerror}" if isinstance(error, OSError) else str(error))
        return ()
    if len(paths) > RUNBOOKS_MAX:
        problems.append(f"{directory}: {len(paths)} runbooks, above {RUNBOOKS_MAX}; split them up or remove some")
        return ()
    found = []
    for path in paths:
        try:
            found.append(parsed(str(path), _bytes(path), str(path)))
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror}); links are not followed")
        except InvalidInput as error:
            problems.append(str(error))
    return found


def _bytes(path: Path) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        _refuse_writable(path, os.fstat(file.fileno()), directory=False)
        return file.read(FILE_BYTES_MAX + 1)


def _refuse_writable(path: Path, status: os.stat_result, *, directory: bool) -> None:
    """Refuse what is not a plain file or directory of this user (or root) that nobody else can write (S14)."""
    if not (stat.S_ISDIR if directory else stat.S_ISREG)(status.st_mode):
        raise InvalidInput(f"{path}: not a {'directory' if directory else 'regular file'}; links are not followed")
    if status.st_uid not in (0, os.geteuid()):
        raise InvalidInput(f"{path}: belongs to another user, who could change what PitCrew does; own it")
    if status.st_mode & 0o022:
        raise InvalidInput(f"{path}: others can write it (mode {status.st_mode & 0o7777:04o}); chmod go-w it")
