"""The Official of another process (port `Official`), asked over HTTP with a bearer token.

Whatever happens to it, the answer here is a hold, a refusal or silence: never an exception, and never a permit. What it
answers is read as data of the core, and held against what was asked.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter

from pitcrew.adapters.outgoing import checked_address
from pitcrew.core.approval import Approval, ApprovalRequest, Decision, Hearing
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.core.order import Person
from pitcrew.core.permit import Direction, Permit, PermitRefused
from pitcrew.core.policy import STOP_RECHECK_S, Case, Effect, Ruling, Verdict, tightened
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Json
from pitcrew.core.resource import HealthyService
from pitcrew.core.review import GIVEN, MATTER, REVIEW, REVIEWED, WANTED, Given, Review, Reviewed, Wanted, to_data
from pitcrew.core.untrusted import clean

T = TypeVar("T")
RULE = "official"
"""The rule that holds while the Official cannot be asked, or reads something else than the Driver."""
DEADLINE_S = 10.0
"""Seconds until a call counts as unanswered: a ledger on a slow disk takes one, and a sick one is not waited for."""
ANSWER_BYTES_MAX = 1 << 20
TOKEN_BYTES_MAX = 4096
_WHY_BYTES_MAX = 300
_log = logging.getLogger("pitcrew.official")


def not_held(service: HealthyService) -> Ruling | None:
    """Where nobody holds anything on this side."""
    return None


@dataclass(kw_only=True, slots=True)
class RemoteOfficial:
    """Asks the Official at `url`; `token` is a file with the Driver's token, read anew at each call.

    `now` is trusted time. `held` is what this side holds back by itself (orders of people, a storm), which is not known
    there: it can only tighten. `transport` carries the requests.
    """

    url: httpx.URL
    token: Path
    now: Callable[[], datetime]
    held: Callable[[HealthyService], Ruling | None] = not_held
    deadline_s: float = DEADLINE_S
    transport: httpx.AsyncBaseTransport | None = None
    _client: httpx.AsyncClient | None = field(default=None, init=False)

    @classmethod
    def at(
        cls,
        url: str,
        token: Path,
        now: Callable[[], datetime],
        held: Callable[[HealthyService], Ruling | None] = not_held,
    ) -> "RemoteOfficial":
        """Raises InvalidInput where the address or the token cannot be used."""
        made = cls(url=checked_address(url, "official_url"), token=token, now=now, held=held)
        made._bearer()
        return made

    async def judge(self, service: HealthyService, plan: Plan, case: Case) -> Verdict:
        """The verdict there, no looser than what holds here; a hold where it cannot be told."""
        answer = await self._reviewed(Review(plan=plan, case=case))
        if isinstance(answer, str):
            return self._hold(plan, answer)
        verdict = answer.verdict
        if verdict.policy_digest != plan.policy_digest:
            return self._hold(plan, "it reads another policy for this service; make its manifests the same as ours")
        held = self.held(service)
        return tightened(verdict, (held,)) if held else verdict

    async def ask(self, service: HealthyService, plan: Plan, case: Case) -> ApprovalRequest | PermitRefused:
        """Have people asked there."""
        answer = await self._reviewed(Review(plan=plan, case=case, ask=True))
        if isinstance(answer, str):
            return PermitRefused(reason=answer)
        request = answer.request
        if request is None:
            return PermitRefused(reason=answer.refused or "the Official asked nobody, and does not say why")
        if (request.plan_digest, request.incident) != (plan.digest, plan.incident):
            return PermitRefused(reason="the Official asked about another plan")
        return request

    async def decide(
        self, plan_digest: str, decision: Decision, person: Person, reason: str, *, signed: str = ""
    ) -> Approval | PermitRefused:
        """Never: nobody decides through the Driver."""
        return PermitRefused(
            reason=f"people talk to the Official: `pitcrew {decision.lower()} {plan_digest[:16]} --official {self.url}`"
        )

    async def decision(self, plan_digest: str) -> Hearing:
        """What was heard there; nothing where it cannot be told."""
        answer = await self._asked("GET", f"/v1/approvals/{plan_digest}", None, MATTER)
        if isinstance(answer, str) or answer.id != plan_digest:
            return Hearing()
        return Hearing(given=answer.given, final=answer.final)

    async def permit(self, service: HealthyService, plan: Plan, case: Case) -> Permit | PermitRefused:
        """A permit to do this plan, unless something holds it on this side."""
        held = self.held(service)
        if held is not None:
            return PermitRefused(reason=f"{held.effect}: {held.rule}: {held.message}")
        return await self._permit(Wanted(direction=Direction.DO, plan=plan, case=case))

    async def permit_undo(self, service: HealthyService, plan: Plan) -> Permit | PermitRefused:
        """A permit to undo this plan, unless something holds it on this side."""
        held = self.held(service)
        if held is not None:
            return PermitRefused(reason=f"{held.effect}: {held.rule}: {held.message}")
        return await self._permit(Wanted(direction=Direction.UNDO, plan=plan))

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _permit(self, wanted: Wanted) -> Permit | PermitRefused:
        answer = await self._sent("/v1/permits", WANTED, wanted, GIVEN)
        given = Given(refused=answer) if isinstance(answer, str) else answer
        if given.permit is None or given.refused:
            return PermitRefused(reason=given.refused or "the Official gave no permit, and does not say why")
        if (given.permit.plan_digest, given.permit.direction) != (wanted.plan.digest, wanted.direction):
            return PermitRefused(reason="the Official gave a permit for another plan")
        return given.permit

    async def _reviewed(self, review: Review) -> Reviewed | str:
        return await self._sent("/v1/review", REVIEW, review, REVIEWED)

    def _hold(self, plan: Plan, reason: str) -> Verdict:
        until = self.now() + timedelta(seconds=STOP_RECHECK_S)
        ruling = Ruling(rule=RULE, effect=Effect.HOLD, message=reason, until=until)
        return Verdict(effect=Effect.HOLD, rulings=(ruling,), policy_digest=plan.policy_digest, until=until)

    async def _sent(self, path: str, adapter: TypeAdapter[Any], value: object, answers: TypeAdapter[T]) -> T | str:
        try:
            body = json.dumps(to_data(adapter, value)).encode()
        except (ValueError, TypeError) as error:
            return f"the request cannot be spelt: {clean(str(error), _WHY_BYTES_MAX)}"
        return await self._asked("POST", path, body, answers)

    async def _asked(self, method: str, path: str, body: bytes | None, answers: TypeAdapter[T]) -> T | str:
        """The answer, or why there is none."""
        try:
            async with asyncio.timeout(self.deadline_s):
                status, text = await self._exchanged(method, path, body)
            if status != 200:
                return f"the Official says {status}: {_detail(text)}"
            return answers.validate_python(json.loads(text, object_pairs_hook=_once))
        except TimeoutError:
            reason = f"no answer of the Official at {self.url} within {self.deadline_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, InvalidInput, Unavailable) as error:
            reason = f"the Official at {self.url} cannot be asked: {error or type(error).__name__}"
        except (ValueError, RecursionError):
            reason = f"the answer of the Official at {self.url} is none that can be read"
        _log.warning("the Official cannot be asked", extra={"text": clean(reason, _WHY_BYTES_MAX)})
        return clean(reason, _WHY_BYTES_MAX)

    async def _exchanged(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._bearer()}", "Content-Type": "application/json"}
        client = self._client = self._client or httpx.AsyncClient(
            transport=self.transport, trust_env=False, follow_redirects=False, timeout=self.deadline_s
        )
        async with client.stream(method, self.url.join(path), content=body, headers=headers) as answer:
            text = b""
            async for piece in answer.aiter_bytes():
                text += piece
                if len(text) > ANSWER_BYTES_MAX:
                    raise Unavailable(f"it answers with more than {ANSWER_BYTES_MAX} bytes")
            return answer.status_code, text

    def _bearer(self) -> str:
        """The token as it is in its file now. Raises InvalidInput where there is none."""
        try:
            with self.token.open("rb") as file:
                text = file.read(TOKEN_BYTES_MAX).decode("ascii").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no text"
            raise InvalidInput(f"{self.token}: the token cannot be read ({why}); see `pitcrew tokens add`") from None
        if not text or any(char.isspace() for char in text):
            raise InvalidInput(f"{self.token}: holds no token; put in what `pitcrew tokens add` printed")
        return text


def _detail(text: bytes) -> str:
    """What a problem says, in a line."""
    try:
        found: Mapping[str, Json] = json.loads(text)
        detail = str(found["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        detail = "and does not say why"
    return clean(detail, _WHY_BYTES_MAX)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
