"""Runbooks of people as `pitcrew runbooks lint` reads them: every problem there is, with its file and line."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.runbooks.files import built_in_pages, page_of, pages_of
from pitcrew.adapters.runbooks.page import Page
from pitcrew.core.lint import lint


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """`file:line: field: what is wrong; what to do`. A warning may be meant; an error is not."""

    text: str
    warning: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Linted:
    """What was read, and all there is to say of it."""

    pages: tuple[Page, ...]
    remarks: tuple[Remark, ...]


def lint_paths(paths: Sequence[Path]) -> Linted:
    """The runbooks in these files and directories; without any, the built-in ones."""
    problems: list[str] = []
    pages = [page for path in paths for page in (pages_of if path.is_dir() else page_of)(path, problems)]
    if not paths:
        pages = list(built_in_pages())
    unread = [Remark(text=line) for problem in problems for line in problem.splitlines()]
    shipped = {page.runbook.head.id for page in built_in_pages()} if paths else set()
    said = [remark for page in pages for remark in (*_of_page(page), *_of_id(page, pages, shipped))]
    return Linted(pages=tuple(pages), remarks=(*unread, *said))


def _of_page(page: Page) -> Iterator[Remark]:
    for finding in lint(page.runbook):
        yield _remark(page, finding.field, finding.message, warning=finding.warning)


def _of_id(page: Page, pages: Sequence[Page], shipped: Set[str]) -> Iterator[Remark]:
    id_ = page.runbook.head.id
    first = next(each for each in pages if each.runbook.head.id == id_)
    if first is not page:
        yield _remark(page, ("id",), f"{id_} is the id of {first.place} as well, and only one is used; choose another")
    if id_ in shipped:
        message = f"it replaces the built-in runbook {id_}; choose another id unless that is meant"
        yield _remark(page, ("id",), message, warning=True)


def _remark(page: Page, field: Sequence[str | int], message: str, *, warning: bool = False) -> Remark:
    named = f"{'.'.join(map(str, field))}: " if field else ""
    return Remark(
        text=f"{page.place}:{page.line_of(field)}: {named}{'warning: ' if warning else ''}{message}", warning=warning
    )
