"""The documents of one file as services and policies, or everything that is wrong with them at once."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ValidationError

from pitcrew.adapters.manifests.document import START, Document, Fault, Limits, Loc, echo, path_text, read
from pitcrew.adapters.manifests.wording import complain, kind_of
from pitcrew.core.policy import Unread
from pitcrew.core.resource import KIND, POLICY_KIND, HealthyService, ProcessTarget, RemediationPolicy, Selector
from pitcrew.core.untrusted import clean
from pitcrew.ports import Declared, DeclaredPolicy, Problem

Resource = HealthyService | RemediationPolicy
Check = Callable[[Resource], Iterable[tuple[str, str]]]
"""A further check of a valid document: pairs of a field path (`spec.policy.rules[0].expression`) and what is wrong."""

MESSAGE_BYTES_MAX = 1024
PROBLEMS_MAX = 200
"""Problems of one file that are told; a file with more is not what it was meant to be."""


def no_further_checks(resource: Resource) -> Iterable[tuple[str, str]]:
    """Nothing beyond the model."""
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """The good documents of a file, in order, and every problem of the others, by position.

    `unread` is only there beside problems: each document that is, or may be, a policy. A file counts as a whole.
    """

    declared: tuple[Declared, ...]
    problems: tuple[Problem, ...]
    policies: tuple[DeclaredPolicy, ...] = ()
    unread: tuple[Unread, ...] = ()


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
    policies: list[DeclaredPolicy] = []
    for document in text.documents:
        if document.data is None and document.sound:
            continue
        resource, found = _resource(document, extra_checks)
        faults += found
        if resource is None or not document.sound or found:
            continue
        line = document.position(()).line
        if isinstance(resource, RemediationPolicy):
            policies.append(DeclaredPolicy(policy=resource, file=file, line=line, digest=digest(resource)))
        else:
            service = _absolute(resource, directory)
            declared.append(Declared(service=service, file=file, line=line, digest=digest(service)))
    if not declared and not policies and not faults:
        faults = [Fault(position=START, loc=(), message="nothing is declared; delete the file to remove its services")]
    told = sorted((_problem(file, fault) for fault in faults), key=lambda p: (p.line, p.column, p.field, p.message))
    problems = _bounded(tuple(dict.fromkeys(told)))
    unread = _unread(raw, text.documents, problems) if problems else ()
    return Parsed(declared=tuple(declared), problems=problems, policies=tuple(policies), unread=unread)


_MENTION = re.compile(rb"kind\W{1,8}" + POLICY_KIND.encode())


def _unread(raw: bytes, documents: Sequence[Document], problems: Sequence[Problem]) -> tuple[Unread, ...]:
    """What is, or may be, a policy in a file with problems; what was not even taken apart is searched for the word."""
    place = str(problems[0])
    found = [_suspected(one, place) for one in documents if _may_be_policy(one.data)]
    dropped = len(_MENTION.findall(raw)) - len(found)
    return (*found, *(Unread(place=place) for _ in range(max(0, min(dropped, 1)))))


def _may_be_policy(data: object) -> bool:
    """Whether a document is a policy, or, being of no kind that is known, may have been meant as one."""
    if not isinstance(data, dict) or data.get("kind") == KIND:
        return False
    spec = data.get("spec")
    return "polic" in str(data.get("kind")).lower() or (isinstance(spec, dict) and "selector" in spec)


def _suspected(document: Document, place: str) -> Unread:
    """A policy that is not in force, with its name and selector where they can be trusted."""
    data = document.data if isinstance(document.data, dict) and document.sound else {}
    metadata, spec = (data[name] if isinstance(data.get(name), dict) else {} for name in ("metadata", "spec"))
    name = metadata.get("name")
    try:
        selector = Selector.model_validate_json(json.dumps(spec.get("selector")), strict=True)
    except ValidationError:
        selector = None
    return Unread(place=place, name=name if isinstance(name, str) else "", selector=selector)


def _bounded(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    if len(problems) <= PROBLEMS_MAX:
        return problems
    more = f"and {len(problems) - PROBLEMS_MAX} more from here on"
    return (*problems[:PROBLEMS_MAX], replace(problems[PROBLEMS_MAX], field="", message=more))


def digest(resource: Resource) -> str:
    """SHA-256 over the canonical JSON of a document with its defaults, in hexadecimal."""
    data = resource.model_dump(mode="json", by_alias=True)
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


def _resource(document: Document, extra_checks: Check) -> tuple[Resource | None, list[Fault]]:
    if document.is_faulty(()):
        return None, []
    if not isinstance(document.data, dict):
        message = f"a document is an object with apiVersion, kind, metadata, spec, not {kind_of(document.data)}"
        return None, [Fault(position=document.position(()), loc=(), message=message)]
    kind = document.data.get("kind")
    if isinstance(kind, str) and kind not in (KIND, POLICY_KIND) and not document.is_faulty(("kind",)):
        message = f"{echo(kind)} is not allowed; allowed: {KIND}, {POLICY_KIND}"
        return None, [Fault(position=document.position(("kind",)), loc=("kind",), message=message)]
    model: type[Resource] = RemediationPolicy if kind == POLICY_KIND else HealthyService
    try:
        # As JSON, in strict mode: text is not taken for a number, nor a number for text, and words are taken for enums.
        resource = model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        return None, _complaints(error, document, model)
    return resource, [_checked(document, path, message) for path, message in extra_checks(resource)]


def _complaints(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Fault]:
    complaints = [complain(one, model) for one in error.errors(include_url=False)]
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
