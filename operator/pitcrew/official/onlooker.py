"""An Official for looking on: it judges exactly as the real one does, and can give nothing away.

Its key is made for the moment and known to no Mechanic, and what it is given as a ledger takes no line, so that no
request, decision or permit can come of it.
"""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pitcrew.core.approval import OwnUser
from pitcrew.core.order import Suspension
from pitcrew.core.policy import Guardrails
from pitcrew.core.record import Instant
from pitcrew.official.permits import Limits, SigningOfficial
from pitcrew.ports import Ledger, RuleCompiler

NOBODY = "nobody"
"""Whom its permits would be made out to."""


def onlooker(
    *,
    ledger: Ledger,
    compiler: RuleCompiler,
    now: Callable[[], Instant],
    stop: Callable[[], bool],
    suspended: Callable[[str], Suspension | None],
    guardrails: Callable[[], Guardrails],
    limits: Limits,
) -> SigningOfficial:
    """An Official that only judges, by a ledger that is only read."""
    return SigningOfficial(
        key=Ed25519PrivateKey.generate(),
        ledger=ledger,
        compiler=compiler,
        mechanic=NOBODY,
        now=now,
        stop=stop,
        own=OwnUser(uid=-1, may_approve=False),
        guardrails=guardrails,
        limits=limits,
        suspended=suspended,
    )
