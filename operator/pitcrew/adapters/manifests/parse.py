"""The documents of one file as services, or everything that is wrong with them at once."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pydantic import ValidationError

from pitcrew.adapters.manifests.document import START, Document, Fault, Limits, Loc, echo, path_text, read
from pitcrew.adapters.manifests.wording import complain, kind_of
from pitcrew.core.resource import KIND, HealthyService, ProcessTarget
from pitcrew.core.untrusted import clean
from pitcrew.ports import Declared, Problem

Check = Callable[[HealthyService], Iterable[tuple[str, str]]]
"""A further check of a valid service: pairs of a field path (`spec.policy.rules[0].expression`) and what is wrong."""

MESSAGE_BYTES_MAX = 1024
PROBLEMS_MAX = 200
"""Problems of one file that are told; a file with more is not what it was meant to be."""


def no_further_checks(service: HealthyService) -> Iterable[tuple[str, str]]:
    """Nothing beyond the model."""
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """The good documents of a file, in order, and every problem of the others, by position."""

    declared: tuple[Declared, ...]
    problems: tuple[Problem, ...]


def parse(
    raw: bytes, *, file: str, directory: str, limits: Limits | None = None, extra_checks: Check = no_further_checks
) -> Parsed:
    """Read one file. Pure, and never raises for what is in it.

    `file` is its name in messages; relative paths in the manifest start at `directory`, which is absolute.
    """
    if file.endswith(".json"):
        raw = raw.replace(b"\t", b" ")  # JSON has tabs between values only, and YAML does not take them there.
    text = read(raw, limits or Limits())
    faults = list(text.faults)
    declared: list[Declared] = []
    for document in text.documents:
        if document.data is None and document.sound:
            continue
        service, found = _service(document, extra_checks)
        faults += found
        if service is not None and document.sound and not found:
            service = _absolute(service, directory)
            line = document.position(()).line
            declared.append(Declared(service=service, file=file, line=line, digest=digest(service)))
    if not declared and not faults:
        faults = [Fault(position=START, loc=(), message="nothing is declared; delete the file to remove its services")]
    problems = sorted((_problem(file, fault) for fault in faults), key=lambda p: (p.line, p.column, p.field, p.message))
    return Parsed(declared=tuple(declared), problems=_bounded(tuple(dict.fromkeys(problems))))


def _bounded(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    if len(problems) <= PROBLEMS_MAX:
        return problems
    more = f"and {len(problems) - PROBLEMS_MAX} more from here on"
    return (*problems[:PROBLEMS_MAX], replace(problems[PROBLEMS_MAX], field="", message=more))


def digest(service: HealthyService) -> str:
    """SHA-256 over the canonical JSON of a service with its defaults, in hexadecimal."""
    data = service.model_dump(mode="json", by_alias=True)
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _problem(file: str, fault: Fault) -> Problem:
    return Problem(
        file=file,
        line=fault.position.line,
        column=fault.position.column,
        field=path_text(fault.loc),
        message=" ".join(clean(fault.message, MESSAGE_BYTES_MAX).split()),
    )


def _service(document: Document, extra_checks: Check) -> tuple[HealthyService | None, list[Fault]]:
    if document.is_faulty(()):
        return None, []
    if not isinstance(document.data, dict):
        message = f"a document is an object with apiVersion, kind, metadata, spec, not {kind_of(document.data)}"
        return None, [Fault(position=document.position(()), loc=(), message=message)]
    kind = document.data.get("kind")
    if isinstance(kind, str) and kind != KIND and not document.is_faulty(("kind",)):
        message = f"{echo(kind)} is not allowed; allowed: {KIND}"
        return None, [Fault(position=document.position(("kind",)), loc=("kind",), message=message)]
    try:
        # As JSON, in strict mode: text is not taken for a number, nor a number for text, and words are taken for enums.
        service = HealthyService.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        return None, _complaints(error, document)
    return service, [_checked(document, path, message) for path, message in extra_checks(service)]


def _complaints(error: ValidationError, document: Document) -> list[Fault]:
    complaints = [complain(one) for one in error.errors(include_url=False)]
    return [
        Fault(position=document.position(one.loc, key=one.at_key), loc=one.loc, message=one.message)
        for one in complaints
        if not document.is_faulty(one.loc)
    ]


def _checked(document: Document, path: str, message: str) -> Fault:
    loc: Loc = tuple(int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path))
    return Fault(position=document.position(loc), loc=loc, message=message)


def _absolute(service: HealthyService, directory: str) -> HealthyService:
    """The service with the paths of a process target made absolute; the core knows nothing of where manifests are."""
    process = service.spec.target.process
    if process is None:
        return service
    absolute = process.model_copy(update=_paths(process, directory))
    target = service.spec.target.model_copy(update={"process": absolute})
    return service.model_copy(update={"spec": service.spec.model_copy(update={"target": target})})


def _paths(process: ProcessTarget, directory: str) -> dict[str, object]:
    program, *arguments = process.command
    joined = {"working_dir": os.path.normpath(os.path.join(directory, process.working_dir))}
    if process.pid_file is not None:
        joined["pid_file"] = os.path.normpath(os.path.join(directory, process.pid_file))
    if "/" in program:
        program = os.path.normpath(os.path.join(directory, program))
    return {**joined, "command": [program, *arguments]}
