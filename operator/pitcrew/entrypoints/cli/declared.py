"""A service as it is declared now, for whoever looks without an operator or beside one."""

from pathlib import Path

from pitcrew.adapters.manifests.load import load as load_manifests
from pitcrew.adapters.policy.cel import check_rules
from pitcrew.adapters.status.text import read_status
from pitcrew.core.errors import InvalidInput, Refused, Unavailable
from pitcrew.core.policy import Guardrails
from pitcrew.core.resource import HealthyService
from pitcrew.entrypoints.cli.names import manifest_files
from pitcrew.entrypoints.cli.orders import ask
from pitcrew.entrypoints.cli.output import mapping


def declared(state: Path, name: str, manifests: tuple[Path, ...]) -> tuple[HealthyService, Guardrails, tuple[str, ...]]:
    """The service and the policies in the manifests given, in those of the running operator, or in those the status
    names; and what may be missing."""
    paths = manifests or _of_operator(state)
    doubts = () if paths else (_FEW,)
    paths = paths or manifest_files(read_status(state / "status"))
    if not paths:
        raise InvalidInput(f"{state}: no status names a manifest; name the manifests with --manifests")
    loaded = load_manifests(paths, extra_checks=check_rules)
    found = [one.service for key, one in loaded.services.items() if name in (key, key.partition("/")[2])]
    if len(found) == 1:
        return found[0], loaded.guardrails, doubts
    if loaded.problems:
        raise InvalidInput("\n".join(map(str, loaded.problems)))
    known = ", ".join(loaded.services) or "none is declared there"
    trouble = "several services are" if found else "no service is"
    raise InvalidInput(f"{trouble} named {name!r}; name one of: {known}")


_FEW = "no operator runs here: policies in other files than the services' own are not counted; name --manifests"


def _of_operator(state: Path) -> tuple[Path, ...]:
    """Where the running operator reads manifests; nothing where none runs."""
    try:
        told = mapping(ask(state, {"do": "declarations"}))
    except (Unavailable, Refused):
        return ()
    listed = told.get("manifests")
    return tuple(Path(str(path)) for path in listed) if isinstance(listed, list) else ()
