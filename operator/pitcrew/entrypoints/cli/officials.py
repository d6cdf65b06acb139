"""Talking to an Official in a process of its own, as a person: what it asks, as it renders it, and the decision."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from pitcrew.adapters.outgoing import checked_address
from pitcrew.core.approval import told
from pitcrew.core.errors import InvalidInput, Refused, Unavailable
from pitcrew.core.record import Json, digest
from pitcrew.core.review import APPROVAL, MATTER, Matter, request_of
from pitcrew.core.untrusted import clean

ANSWER_S = 30.0
"""Seconds until an Official counts as unanswering; verifying a signature takes one."""
_DIGEST = re.compile(r"[0-9a-f]{16,64}")
_WHY_BYTES_MAX = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialAt:
    """The Official at `url`; `token` is a file with a person's bearer token, needed but for signed decisions."""

    url: str
    token: Path | None = None

    def question(self, name: str) -> Mapping[str, Json]:
        """What is asked about an incident, or about the plan with this digest, or 16 characters of it.

        Raises:
            Refused: nothing is, or what is shown is not what is asked; Unavailable: the Official does not answer.
        """
        id_ = name if _DIGEST.fullmatch(name) else self._open_in(name)
        matter = self._read(self._asked("GET", f"/v1/approvals/{id_}", None))
        if not matter.id.startswith(id_) or digest(dict(matter.plan)) != matter.id:  # type: ignore[arg-type]
            raise Refused("the Official shows another plan than the one that it asks about; nothing is decided")
        return _question(matter)

    def decide(self, plan: str, decision: str, reason: str, signature: str) -> str:
        """Send a decision; what was taken, for people. Raises as `question` does."""
        said = {"decision": decision, "reason": reason, **({"signed": signature} if signature else {"signed": ""})}
        answer = self._asked("POST", f"/v1/approvals/{plan}", said)
        try:
            approval = APPROVAL.validate_python(answer)
        except ValueError:
            raise Unavailable(f"{self.url}: the answer is none of an Official; look with `pitcrew question`") from None
        return f"plan {plan[:16]} {told(approval)}"

    def _open_in(self, incident: str) -> str:
        answer = self._asked("GET", "/v1/approvals", None)
        items = answer.get("items") if isinstance(answer, Mapping) else None
        if not isinstance(items, list):
            raise Unavailable(f"{self.url}: the answer is none of an Official")
        found = [one.id for one in map(self._read, items) if one.request.incident == incident]
        if not found:
            raise Refused(f"{incident} asks nothing that is still open; ask about a plan by its digest to see it")
        return found[-1]

    def _read(self, data: Json) -> Matter:
        try:
            return MATTER.validate_python(data)
        except ValueError:
            raise Unavailable(f"{self.url}: the answer is none of an Official") from None

    def _asked(self, method: str, path: str, body: Mapping[str, Json] | None) -> Json:
        url = checked_address(self.url, "official").join(path)
        headers = {"Authorization": f"Bearer {token_in(self.token)}"} if self.token else {}
        try:
            with httpx.Client(trust_env=False, follow_redirects=False, timeout=ANSWER_S) as client:
                answer = client.request(method, url, json=body, headers=headers)
            data: Json = answer.json()
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(f"{self.url}: no Official answers ({error}); nothing was changed") from None
        except (ValueError, RecursionError):
            raise Unavailable(
                f"{self.url}: the answer is none of an Official; nothing is known to be changed"
            ) from None
        if answer.status_code != 200:
            detail = data.get("detail") if isinstance(data, Mapping) else None
            raise Refused(f"the Official says {answer.status_code}: {clean(str(detail), _WHY_BYTES_MAX)}")
        return data


def token_in(path: Path) -> str:
    """The bearer token in a file. Raises InvalidInput where there is none."""
    try:
        text = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise InvalidInput(
            f"{path}: the token cannot be read ({why}); put in what `pitcrew tokens add` printed"
        ) from None
    if not text or len(text.split()) != 1:
        raise InvalidInput(f"{path}: holds no token; put in what `pitcrew tokens add` printed")
    return text


def _question(matter: Matter) -> Mapping[str, Json]:
    """The same shape in which an operator of one process tells what is asked."""
    risk = matter.risk
    factors: list[Json] = [f"{one.points:>3}  {one.name}: {one.evidence}" for one in risk.factors] if risk else []
    plan: dict[str, Json] = json.loads(json.dumps(matter.plan))
    return {
        "incident": matter.request.incident,
        "service": matter.service,
        "digest": matter.id,
        "does": matter.does,
        "undo": matter.undo,
        "why": "as the Driver proposed it; the risk is the Official's own",
        "risk": {
            "level": str(matter.request.level),
            "score": risk.score if risk else "not kept",
            "factors": factors,
        },
        "rules": list(matter.rules),
        "asked": matter.asked,
        "expiresAt": matter.request.expires_at.isoformat(timespec="seconds"),
        "decided": matter.decided or None,
        "plan": plan,
        "request": request_of(matter),
    }
