"""Files joined into what is declared. A file counts as a whole: with a problem in it, nothing of it is new."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pitcrew.adapters.manifests.document import Limits
from pitcrew.adapters.manifests.files import FILES_MAX, Found, Scan, scan
from pitcrew.adapters.manifests.parse import Check, Parsed, no_further_checks, parse
from pitcrew.core.policy import Unread
from pitcrew.core.untrusted import clean, printable
from pitcrew.ports import Declared, DeclaredPolicy, Loaded, Problem

STALE_BYTES_MAX = 512

One = Declared | DeclaredPolicy
Good = Mapping[str, tuple[One, ...]]
"""The last good version of each file, by its name."""
Parse = Callable[[Found], Parsed]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is declared, and what of it is kept for when a file becomes bad."""

    loaded: Loaded
    good: Good = field(default_factory=dict)


def load(
    paths: Sequence[Path],
    *,
    limits: Limits | None = None,
    files_max: int = FILES_MAX,
    extra_checks: Check = no_further_checks,
) -> Loaded:
    """Everything declared in directories and files, and every problem with it."""
    limits = limits or Limits()
    seen = scan([str(path) for path in paths], bytes_max=limits.bytes_max, files_max=files_max)
    return join(seen, lambda found: parse_found(found, limits, extra_checks), {}).loaded


def parse_found(found: Found, limits: Limits, extra_checks: Check) -> Parsed:
    """A file's documents or problems; a file that was refused is one problem, and may hold a policy."""
    name = shown(found.file)
    if found.refused:
        problem = _whole(name, found.refused)
        unread = () if found.absent else (Unread(place=str(problem)),)
        return Parsed(declared=(), problems=(problem,), unread=unread)
    return parse(found.raw, file=name, directory=found.directory, limits=limits, extra_checks=extra_checks)


def join(seen: Scan, parse: Parse, good: Good) -> Standing:
    """Join a look at the files with the last good version of each.

    A file that is bad, or that could not be seen, stands as it was, marked stale. A service or a policy that two places
    declare stays with the one that had it; where neither had it, nobody declares it.
    """
    standing: dict[str, tuple[One, ...]] = {}
    problems: list[Problem] = []
    unread: list[Unread] = []
    for found in seen.found:
        parsed, name = parse(found), shown(found.file)
        problems += parsed.problems
        if not parsed.problems:
            standing[name] = (*parsed.declared, *parsed.policies)
            continue
        unread += _uncovered(parsed.unread, good.get(name), refused=bool(found.refused))
        if name in good and not found.absent:
            standing[name] = _stale(good[name], parsed.problems)
    blind = {shown(path): _whole(shown(path), reason) for path, reason in seen.blind.items()}
    problems += blind.values()
    known = {name for file in good for name in (file, os.path.dirname(file) or ".")}
    unread += [Unread(place=str(problem)) for name, problem in blind.items() if name not in known]
    for name in _unseen(good, standing, seen):
        folder = os.path.dirname(name) or "."
        why = blind.get(name) or blind.get(folder) or _whole(folder, "is not there any more")
        standing[name] = _stale(good[name], (why,))
    held, doubled = _without_doubles(standing, good)
    problems += [problem for problem, _ in doubled]
    unread += [
        Unread(place=str(problem), name=one.policy.name, selector=one.policy.spec.selector)
        for problem, one in doubled
        if isinstance(one, DeclaredPolicy) and _key(one) not in held
    ]
    loaded = Loaded(
        services={one.service.key: one for one in held.values() if isinstance(one, Declared)},
        problems=tuple(problems),
        policies={one.policy.name: one for one in held.values() if isinstance(one, DeclaredPolicy)},
        unread=tuple(unread),
    )
    return Standing(loaded=loaded, good=_kept(standing, held))


def _key(one: One) -> str:
    """What a document declares; the key of a service has one slash, that of a policy two."""
    return str(one.service.key) if isinstance(one, Declared) else f"policy//{one.policy.name}"


def _uncovered(unread: Sequence[Unread], before: Sequence[One] | None, *, refused: bool) -> list[Unread]:
    """Policies of a bad file that have no last good version; a file that is refused has that of the whole file."""
    if before is None:
        return list(unread)
    names = {one.policy.name for one in before if isinstance(one, DeclaredPolicy)}
    return [] if refused else [one for one in unread if (one.name not in names if one.name else not names)]


def _unseen(good: Good, standing: Good, seen: Scan) -> list[str]:
    """Files of before of which nothing is known now: neither they nor their directory could be looked at."""
    listed, sought = ({shown(path) for path in paths} for paths in (seen.listed, seen.sought))
    gone = good.keys() - standing.keys()
    return sorted(name for name in gone if name not in sought and (os.path.dirname(name) or ".") not in listed)


def shown(path: str) -> str:
    """A path as messages show it: one printable line."""
    return printable(clean(path, 512), lines=False)


def _whole(file: str, message: str) -> Problem:
    return Problem(file=file, line=1, column=1, field="", message=message)


def _stale(declared: Sequence[One], problems: Sequence[Problem]) -> tuple[One, ...]:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    text = clean(f"the last good version is in force: {problems[0]}{more}", STALE_BYTES_MAX)
    return tuple(replace(one, stale=text) for one in declared)


def _without_doubles(standing: Good, good: Good) -> tuple[dict[str, One], list[tuple[Problem, One]]]:
    """What one place declares, by its key; and for the rest what is wrong, beside the document."""
    places: defaultdict[str, list[One]] = defaultdict(list)
    for name in sorted(standing):
        for one in standing[name]:
            places[_key(one)].append(one)
    held: dict[str, One] = {}
    problems: list[tuple[Problem, One]] = []
    for key, declared in places.items():
        if len(declared) == 1:
            held[key] = declared[0]
            continue
        problems += [(_double(one, declared), one) for one in declared]
        holders = [one for one in declared if any(key == _key(had) for had in good.get(one.file, ()))]
        if len(holders) == 1:
            held[key] = _stale(_as_it_was(holders[0], good), [_double(holders[0], declared)])[0]
    return held, problems


def _as_it_was(holder: One, good: Good) -> Sequence[One]:
    """The version of before: with two declarations of a service nothing of either is new."""
    return [one for one in good[holder.file] if _key(one) == _key(holder)]


def _double(one: One, declared: Sequence[One]) -> Problem:
    others = ", ".join(f"{other.file}:{other.line}" for other in declared if other is not one)
    name = one.service.key if isinstance(one, Declared) else f"the policy {one.policy.name}"
    message = f"{name} is also declared in {others}; keep one"
    return Problem(file=one.file, line=one.line, column=1, field="metadata.name", message=message)


def _kept(standing: Good, held: Mapping[str, One]) -> Good:
    """What each file holds by right: its documents that are declared, without the mark of staleness."""
    return {
        name: tuple(
            replace(found, stale="")
            for one in declared
            if (found := held.get(_key(one))) is not None and found.file == name
        )
        for name, declared in standing.items()
    }
