"""The Official over HTTP: it judges, asks people, takes their decisions, and permits. It can touch nothing.

The Driver brings plans and sealed looks; services and policies are read here, and never come over the wire. What is
refused for a reason of policy is an answer; what cannot be understood, or who may not ask, is a problem (RFC 9457).
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Literal, TypeVar

from fastapi import Body, Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from pitcrew import __version__
from pitcrew.adapters.metrics import catalogue
from pitcrew.adapters.metrics.official import CONTENT_TYPE, OfficialMetrics
from pitcrew.core.approval import Approval, Decision
from pitcrew.core.caller import Caller, Role
from pitcrew.core.order import Person
from pitcrew.core.permit import Direction, Permit, PermitRefused
from pitcrew.core.policy import Case, policy_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Json
from pitcrew.core.resource import HealthyService, ServiceKey
from pitcrew.core.review import (
    APPROVAL,
    GIVEN,
    MATTER,
    REVIEW,
    REVIEWED,
    WANTED,
    Given,
    Matter,
    Review,
    Reviewed,
    Wanted,
    from_data,
    to_data,
    with_times,
)
from pitcrew.entrypoints.servers.access import PUBLIC, Access, reading, role, signature
from pitcrew.entrypoints.servers.asking import caller_in, requires, tell_problems
from pitcrew.entrypoints.servers.officiating import Office
from pitcrew.entrypoints.servers.page import page_of

PREFIX_MIN = 16
"""Characters of a plan digest that name a request: 64 bits, which nobody makes collide while it is open."""
_READERS = (Role.READER, Role.DRIVER, Role.APPROVER, Role.OPERATOR)
# A request is shown to whoever knows its digest, which nobody guesses: who signs a decision needs no token, and has to
# see what it is about.
ACCESS = Access(
    routes={
        "POST /v1/review": role(Role.DRIVER),
        "POST /v1/permits": role(Role.DRIVER),
        "GET /v1/approvals": role(*_READERS),
        "GET /v1/approvals/{id}": PUBLIC,
        "POST /v1/approvals/{id}": signature(Role.APPROVER),
        "GET /v1/policies": reading(*_READERS),
        "GET /metrics": reading(*_READERS),
        "GET /healthz": PUBLIC,
        "GET /openapi.json": PUBLIC,
        "GET /docs": PUBLIC,
    }
)
T = TypeVar("T")


class Said(BaseModel):
    """A person's decision on one request. `signed` is an armored SSH signature over its statement; without one, the
    bearer token says who decides."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    decision: Literal["Approve", "Deny"]
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    signed: Annotated[str, Field(max_length=8192)] = ""


_SAID = TypeAdapter(Said)


def official_app(office: Office) -> FastAPI:
    """The application around one Official; while it runs, the manifests are followed."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with office.open():
            yield

    app = FastAPI(
        title="PitCrew Official",
        version=__version__,
        description=__doc__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    tell_problems(app)
    desk = _Counter(office, OfficialMetrics())

    @app.post(
        "/v1/review",
        response_model=Reviewed,
        summary="The verdict on a plan, with every rule that spoke",
        dependencies=[Depends(_exactly(REVIEW))],
    )
    async def review(asked: Annotated[Review, Body()], caller: Annotated[Caller, Depends(_driver)]) -> Response:
        return _told(REVIEWED, await desk.review(asked, caller))

    @app.post(
        "/v1/permits",
        response_model=Given,
        summary="A permit to do or to undo one plan, or why there is none",
        dependencies=[Depends(_exactly(WANTED))],
    )
    async def permits(wanted: Annotated[Wanted, Body()], caller: Annotated[Caller, Depends(_driver)]) -> Response:
        return _told(GIVEN, await desk.permit(wanted, caller))

    @app.get("/v1/approvals", summary="What people are asked about now")
    async def approvals() -> Response:
        return JSONResponse({"items": [to_data(MATTER, one) for one in await desk.matters() if one.open]})

    @app.get("/v1/approvals/{id}", response_model=Matter, summary="One request, whole, by the digest of its plan")
    async def approval(id: str) -> Response:
        return _told(MATTER, await desk.matter(id))

    @app.post(
        "/v1/approvals/{id}",
        response_model=Approval,
        summary="A person's decision on exactly this plan",
        dependencies=[Depends(_exactly(_SAID))],
    )
    async def decide(id: str, said: Annotated[Said, Body()], request: Request) -> Response:
        return _told(APPROVAL, await desk.decide(id, said, _person(request, said)))

    @app.get("/v1/policies", summary="The services and policies as the Official reads them")
    async def policies() -> Response:
        return JSONResponse(desk.policies())

    @app.get("/healthz", summary="Whether it can judge")
    async def healthz() -> Response:
        trouble = await desk.trouble()
        return JSONResponse({"status": trouble or "ok"}, status_code=503 if trouble else 200)

    @app.get("/metrics", summary="For Prometheus")
    async def metrics() -> Response:
        await desk.trouble()
        return Response(desk.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page_of(app.openapi(), ACCESS))

    return app


_driver = requires(Role.DRIVER)


def _person(request: Request, said: Said) -> Person:
    """Who decides, by their token; whoever carries a signature decides nothing, and needs no token."""
    if said.signed:
        caller = caller_in(request)
        return Person(uid=None, name=caller.name if caller else "nobody", known_by="token" if caller else "network")
    return Person(uid=None, name=requires(Role.APPROVER)(request).name, known_by="token")


def _exactly(adapter: TypeAdapter[T]) -> "Callable[[Request], object]":
    """A dependency that refuses a body which is not spelt exactly: keys that stand twice, extra fields, bent types."""

    async def check(request: Request) -> None:
        try:
            data = json.loads(await request.body(), object_pairs_hook=_once, parse_constant=_no, parse_float=_no)
            from_data(adapter, data)
        except (ValueError, RecursionError) as error:
            text = str(error) or "it nests too deeply"
            raise HTTPException(422, f"{text}; /openapi.json says what is meant") from None

    return check


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no(text: str) -> object:
    raise ValueError(f"{text[:32]} is no whole number")


def _told(adapter: TypeAdapter[T], value: T) -> Response:
    return JSONResponse(to_data(adapter, value))


class _Counter:
    """Where requests are handed in: finds the declared service, and counts what comes of them."""

    def __init__(self, office: Office, metrics: OfficialMetrics) -> None:
        self._office, self.metrics = office, metrics

    async def review(self, asked: Review, caller: Caller) -> Reviewed:
        service, case = self._declared(asked.plan), _case(asked.case, caller)
        verdict, judgement = await self._office.official.review(service, asked.plan, case)
        self.metrics.count(catalogue.REVIEWS, str(verdict.effect))
        reviewed = Reviewed(verdict=verdict, own_risk=judgement.risk)
        if not asked.ask:
            return reviewed
        answer = await self._office.official.ask(service, asked.plan, case)
        if isinstance(answer, PermitRefused):
            self.metrics.count(catalogue.REFUSALS, "request")
            return replace(reviewed, refused=answer.reason)
        self.metrics.count(catalogue.ASKED)
        return replace(reviewed, request=answer)

    async def permit(self, wanted: Wanted, caller: Caller) -> Given:
        service, official = self._declared(wanted.plan), self._office.official
        answer: Permit | PermitRefused
        if wanted.direction is Direction.UNDO:
            answer = await official.permit_undo(service, wanted.plan)
        elif wanted.case is None:
            raise HTTPException(422, "case: a permit to do a plan is judged anew; send the case with its sealed look")
        else:
            answer = await official.permit(service, wanted.plan, _case(wanted.case, caller))
        if isinstance(answer, PermitRefused):
            self.metrics.count(catalogue.REFUSALS, str(wanted.direction))
            return Given(refused=answer.reason)
        self.metrics.count(catalogue.PERMITS, str(wanted.direction))
        return Given(permit=answer)

    async def matters(self) -> tuple[Matter, ...]:
        found = await self._office.official.matters()
        if isinstance(found, PermitRefused):
            raise HTTPException(503, f"{found.reason}; nobody is asked until it is mended")
        return found

    async def matter(self, id: str) -> Matter:
        """One request by its plan's digest, or a beginning of it that names no other."""
        if len(id) < PREFIX_MIN:
            raise HTTPException(422, f"name a plan by its digest, or its first {PREFIX_MIN} characters at least")
        found = [one for one in await self.matters() if one.id.startswith(id)]
        if len(found) != 1:
            reason = "several plans begin so" if found else "nobody was asked about such a plan"
            raise HTTPException(404, f"{reason}; GET /v1/approvals lists what is open")
        return found[0]

    async def decide(self, id: str, said: Said, person: Person) -> Approval:
        matter = await self.matter(id)
        answer = await self._office.official.decide(
            matter.id, Decision(said.decision), person, said.reason, signed=said.signed
        )
        if isinstance(answer, PermitRefused):
            self.metrics.count(catalogue.REFUSALS, "decision")
            raise HTTPException(409, answer.reason)
        self.metrics.count(catalogue.DECISIONS, str(answer.decision))
        return answer

    def policies(self) -> dict[str, Json]:
        office, bound = self._office, self._office.guardrails
        services: list[Json] = [
            {
                "service": key,
                "policyDigest": policy_digest(service, bound),
                "policy": service.spec.policy.model_dump(mode="json", by_alias=True),
                "guardrails": [one.name for one in bound.binding(service).policies],
            }
            for key, service in sorted(office.services.items())
        ]
        return {
            "services": services,
            "policies": [one.model_dump(mode="json", by_alias=True) for one in bound.policies],
            "unread": [one.place for one in bound.unread],
            "stale": [f"{name}: {why}" for name, why in bound.stale],
        }

    async def trouble(self) -> str:
        """Why nothing could be permitted at all now, and the gauges set by it; empty where all is well."""
        found = await self._office.official.matters()
        ledger = found.reason if isinstance(found, PermitRefused) else self._office.official.unwritten
        self.metrics.show(catalogue.LEDGER_TROUBLE, 1 if ledger else 0)
        self.metrics.show(catalogue.STOPPED, 1 if self._office.stop() else 0)
        self.metrics.show(catalogue.DECLARED, len(self._office.services))
        return ledger or self._office.unread

    def _declared(self, plan: Plan) -> HealthyService:
        """The service of a plan as it is declared here; nothing of it comes over the wire."""
        if self._office.unread:
            raise HTTPException(503, self._office.unread)
        found = self._office.services.get(ServiceKey(plan.service))
        if found is None:
            raise HTTPException(404, f"no service {plan.service!r} is declared here; both read their own manifests")
        return found


def _case(case: Case, caller: Caller) -> Case:
    """The case as it was told; who proposes is whom the token says, where no assistant is named."""
    try:
        return replace(with_times(case), proposer=case.proposer or caller.name)
    except ValueError:
        raise HTTPException(422, "case.facts.incident.opened_at: no instant; write it as in RFC 3339") from None
