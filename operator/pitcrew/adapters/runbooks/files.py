"""Runbooks as Markdown files with front matter: the built-in ones, and directories of the operator's user.

A runbook decides what PitCrew proposes, so only its owner may be able to write it.
"""

import os
import stat
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from pitcrew.adapters.runbooks.page import FILE_BYTES_MAX, Page, read_page
from pitcrew.core.errors import InvalidInput
from pitcrew.core.runbook import Runbook

RUNBOOKS_MAX = 500
"""Of one directory; retrieval looks at each of them."""
BUILT_IN = "built-in"
"""Origin of a runbook of the package."""


class RunbookFiles:
    """The RunbookSource port on disk: what was there when it was loaded."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self.pages = tuple(pages)
        self._found = tuple(page.runbook for page in pages)

    @classmethod
    def load(cls, directories: Sequence[Path] = ()) -> "RunbookFiles":
        """The built-in runbooks, then those of each directory; a later one replaces an earlier one with the same id.

        Raises InvalidInput naming file, line and field of every problem there is, one a line.
        """
        problems: list[str] = []
        found = [*built_in_pages(), *(page for path in directories for page in pages_of(path, problems))]
        if problems:
            raise InvalidInput("\n".join(problems))
        return cls(tuple({page.runbook.head.id: page for page in found}.values()))

    def runbooks(self) -> Sequence[Runbook]:
        """See `pitcrew.ports.RunbookSource`."""
        return self._found


@cache
def built_in_pages() -> Sequence[Page]:
    """The pages of the package, by file name; read once, since a package stays as it is while it runs."""
    found = sorted((page for page in files("pitcrew").joinpath("runbooks").iterdir()), key=lambda page: page.name)
    return tuple(read_page(page.name, page.read_bytes(), BUILT_IN) for page in found if page.name.endswith(".md"))


def built_in() -> Sequence[Runbook]:
    """The runbooks of the package, by file name."""
    return tuple(page.runbook for page in built_in_pages())


# Directories of people


def pages_of(path: Path, problems: list[str]) -> Sequence[Page]:
    """The pages of a directory of people; what cannot be used is added to the problems, one a line."""
    try:
        _refuse_writable(path, os.lstat(path), directory=True)
        paths = sorted(each for each in path.iterdir() if each.suffix == ".md" and each.name[0] not in "._")
    except (OSError, InvalidInput) as error:
        problems.append(f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error))
        return ()
    if len(paths) > RUNBOOKS_MAX:
        problems.append(f"{path}: {len(paths)} runbooks, above {RUNBOOKS_MAX}; split them up or remove some")
        return ()
    return [page for each in paths for page in page_of(each, problems)]


def page_of(path: Path, problems: list[str]) -> Sequence[Page]:
    """The page in one file of people, or none and a problem more."""
    try:
        return (read_page(str(path), _bytes(path), str(path)),)
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); links are not followed")
    except InvalidInput as error:
        problems.append(str(error))
    return ()


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
