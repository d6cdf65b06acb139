"""Installing a manifest where the operator reads manifests: checked, compared, shown, and written as who calls.

The operator itself never writes what people declare; the rights to the directory are those of the person.
"""

import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from pitcrew.adapters.durable import replace
from pitcrew.adapters.manifests.load import load
from pitcrew.adapters.policy.cel import check_rules
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.orders import ask
from pitcrew.entrypoints.cli.output import mapping, say, shown
from pitcrew.ports import Loaded


def install(state: Path, file: Path, into: Path | None, *, yes: bool) -> bool:
    """Put a manifest in its place; whether it is there now.

    Raises:
        InvalidInput: it is not valid, or no place is certain.
        Unavailable: no operator answers, so that its place is not known.
    """
    declared = _checked(file)
    told = mapping(ask(state, {"do": "declarations"}))
    place = _place(file, declared, mapping(told["services"]), _directories(told["manifests"], into))
    after = file.read_text()
    before = place.read_text() if place.exists() else ""
    if before == after:
        say(f"{shown(place)}: nothing changes")
        return True
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), str(place), str(file), lineterm=""):
        say(shown(line))
    if not yes and sys.stdin.isatty() and not typer.confirm(f"write {place}?"):
        say("nothing was written")
        return False
    replace(place, after.encode(), mode=0o644)
    say(f"{shown(place)}: written; the operator reads it now")
    return True


def _checked(file: Path) -> Loaded:
    if not file.is_file():
        raise InvalidInput(f"{file}: no such file; name one manifest")
    loaded = load([file], extra_checks=check_rules)
    if loaded.problems:
        raise InvalidInput("\n".join(map(str, loaded.problems)))
    for one in loaded.services.values():
        process = one.service.spec.target.process
        if process is not None and "workingDir: /" not in file.read_text().replace('"', ""):
            raise InvalidInput(f"{file}: a relative workingDir would be another place there; write it from the root on")
    return loaded


def _directories(manifests: Json, into: Path | None) -> Sequence[Path]:
    known = [Path(str(path)) for path in manifests] if isinstance(manifests, list) else []
    if into is not None:
        if into.absolute() not in known:
            raise InvalidInput(f"{into}: the operator reads no manifests there; it reads {', '.join(map(str, known))}")
        return [into.absolute()]
    return known


def _place(file: Path, declared: Loaded, now: Mapping[str, Json], known: Sequence[Path]) -> Path:
    """The file that these services and policies stand in already, or a new one in the only directory."""
    keys = {*map(str, declared.services), *(f"policy/{name}" for name in declared.policies)}
    stands = {Path(str(now[key]).rpartition(":")[0]) for key in keys if key in now}
    if len(stands) > 1 or (stands and not keys <= set(now)):
        raise InvalidInput(f"{file}: its services stand in several files or partly in none; apply them one by one")
    if stands:
        (place,) = stands
        there = {key for key in now if str(now[key]).rpartition(":")[0] == str(place)}
        if there != keys:
            others = ", ".join(sorted(map(str, there - keys)))
            raise InvalidInput(f"{place} declares {others} as well; edit it there, or apply a file with all of them")
        return place
    directories = [path for path in known if path.is_dir()]
    if len(directories) != 1:
        raise InvalidInput(f"the operator reads {len(directories)} directories; name the one with --into")
    name = file.name if len(keys) > 1 else f"{next(iter(keys)).replace('/', '.')}.yaml"
    place = directories[0] / name
    if place.exists():
        raise InvalidInput(f"{place} is there and declares something else; rename one of them")
    return place
