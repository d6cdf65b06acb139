"""An Official for looking on: it judges exactly as the real one does, and can give nothing away.

Its key is made for the moment and known to no Mechanic, and what it is given as a ledger takes no line, so that no
request, decision or permit can come of it.
"""

from collections.abc import Callable

from pitcrew.core.approval import OwnUser
from pitcrew.core.order import Suspension
from pitcrew.core.policy import Guardrails
from pitcrew.core.record import Instant
from pitcrew.keys import key_of_the_moment
from pitcrew.official.permits import Limits, SigningOfficial
from pitcrew.ports import Ledger, RuleCompiler


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
        key=key_of_the_moment(),
        ledger=ledger,
        compiler=compiler,
        now=now,
        stop=stop,
        own=OwnUser(uid=-1, may_approve=False),
        guardrails=guardrails,
        limits=limits,
        suspended=suspended,
    )
