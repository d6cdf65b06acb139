"""Files joined into what is declared. A file counts as a whole: with a problem in it, nothing of it is new."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pitcrew.adapters.manifests.document import Limits
from pitcrew.adapters.manifests.files import FILES_MAX, Found, Scan, scan
from pitcrew.adapters.manifests.parse import Check, Parsed, no_further_checks, parse
from pitcrew.core.resource import ServiceKey
from pitcrew.core.untrusted import clean, printable
from pitcrew.ports import Declared, Loaded, Problem

STALE_BYTES_MAX = 512

Good = Mapping[str, tuple[Declared, ...]]
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
    """A file's services or problems; a file that was refused is one problem."""
    name = shown(found.file)
    if found.refused:
        return Parsed(declared=(), problems=(_whole(name, found.refused),))
    return parse(found.raw, file=name, directory=found.directory, limits=limits, extra_checks=extra_checks)


def join(seen: Scan, parse: Parse, good: Good) -> Standing:
    """Join a look at the files with the last good version of each.

    A file that is bad, or that could not be seen, stands as it was, marked stale. A service that two places declare
    stays with the one that had it; where neither had it, nobody declares it.
    """
    standing: dict[str, tuple[Declared, ...]] = {}
    problems: list[Problem] = []
    for found in seen.found:
        parsed, name = parse(found), shown(found.file)
        problems += parsed.problems
        if not parsed.problems:
            standing[name] = parsed.declared
        elif name in good and not found.absent:
            standing[name] = _stale(good[name], parsed.problems)
    blind = {shown(path): _whole(shown(path), reason) for path, reason in seen.blind.items()}
    problems += blind.values()
    for name in _unseen(good, standing, seen):
        folder = os.path.dirname(name) or "."
        why = blind.get(name) or blind.get(folder) or _whole(folder, "is not there any more")
        standing[name] = _stale(good[name], (why,))
    services, doubled = _without_doubles(standing, good)
    loaded = Loaded(services=services, problems=(*problems, *doubled))
    return Standing(loaded=loaded, good=_kept(standing, services))


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


def _stale(declared: Sequence[Declared], problems: Sequence[Problem]) -> tuple[Declared, ...]:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    text = clean(f"the last good version is in force: {problems[0]}{more}", STALE_BYTES_MAX)
    return tuple(replace(one, stale=text) for one in declared)


def _without_doubles(standing: Good, good: Good) -> tuple[dict[ServiceKey, Declared], list[Problem]]:
    places: defaultdict[ServiceKey, list[Declared]] = defaultdict(list)
    for name in sorted(standing):
        for one in standing[name]:
            places[one.service.key].append(one)
    services: dict[ServiceKey, Declared] = {}
    problems: list[Problem] = []
    for key, declared in places.items():
        if len(declared) == 1:
            services[key] = declared[0]
            continue
        found = [_double(one, declared) for one in declared]
        problems += found
        holders = [one for one in declared if any(key == had.service.key for had in good.get(one.file, ()))]
        if len(holders) == 1:
            services[key] = _stale(_as_it_was(holders[0], good), [_double(holders[0], declared)])[0]
    return services, problems


def _as_it_was(holder: Declared, good: Good) -> Sequence[Declared]:
    """The version of before: with two declarations of a service nothing of either is new."""
    return [one for one in good[holder.file] if one.service.key == holder.service.key]


def _double(one: Declared, declared: Sequence[Declared]) -> Problem:
    others = ", ".join(f"{other.file}:{other.line}" for other in declared if other is not one)
    message = f"{one.service.key} is also declared in {others}; keep one"
    return Problem(file=one.file, line=one.line, column=1, field="metadata.name", message=message)


def _kept(standing: Good, services: Mapping[ServiceKey, Declared]) -> Good:
    """What each file holds by right: its services that are declared, without the mark of staleness."""
    return {
        name: tuple(
            replace(held, stale="")
            for one in declared
            if (held := services.get(one.service.key)) is not None and held.file == name
        )
        for name, declared in standing.items()
    }
