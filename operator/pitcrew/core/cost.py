"""The cost: what asking a model takes in tokens and money, set aside before it is spent, and the budgets it is held to.

Money is counted in whole microdollars, millionths of a dollar (or of whatever currency the prices are given in), since
records hold no floats; each sum is rounded up.
"""

from collections.abc import Iterable
from dataclasses import dataclass

BELIEVED_TIMES_MAX = 8
"""How many times more, or of a prompt fewer, tokens than were set aside an endpoint may tell and be believed: two bytes
a token are set aside; no tokenizer takes 16 bytes on average, and none makes eight tokens of two."""
OVERHEAD_TOKENS_MAX = 2_048
"""Tokens beside the messages that an endpoint may count: its chat template and the schema of the answer."""
_MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of prompts (`tokens_in`) and of answers (`tokens_out`)."""

    tokens_in: int = 0
    tokens_out: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(tokens_in=self.tokens_in + other.tokens_in, tokens_out=self.tokens_out + other.tokens_out)

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.tokens_in + self.tokens_out


NO_USAGE = Usage()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Tokens, and what they cost in microdollars."""

    tokens: int = 0
    microdollars: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(tokens=self.tokens + other.tokens, microdollars=self.microdollars + other.microdollars)


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """Microdollars of a million tokens, of prompts and of answers."""

    in_per_million: int = 0
    out_per_million: int = 0

    def of(self, usage: Usage) -> Cost:
        """What this usage costs."""
        millionths = usage.tokens_in * self.in_per_million + usage.tokens_out * self.out_per_million
        return Cost(tokens=usage.tokens, microdollars=-(-millionths // _MILLION))


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A bound on the cost of something, such as `in one hour`, and what was spent of it."""

    of: str
    tokens_max: int
    microdollars_max: int
    spent: Cost

    def exceeded_by(self, wanted: Cost) -> str:
        """Why there is no room for this much more; empty where there is. What costs no money is bound by none."""
        spent = self.spent
        if spent.tokens + wanted.tokens > self.tokens_max:
            return f"over budget: {spent.tokens} + {wanted.tokens} of {self.tokens_max} tokens {self.of}"
        if wanted.microdollars and spent.microdollars + wanted.microdollars > self.microdollars_max:
            sums = f"{dollars(spent.microdollars)} + {dollars(wanted.microdollars)} of {dollars(self.microdollars_max)}"
            return f"over budget: {sums} {self.of}"
        return ""


def exceeded(budgets: Iterable[Budget], wanted: Cost) -> str:
    """The first of the budgets that has no room for this much more, in words; empty where all have."""
    return next((reason for budget in budgets if (reason := budget.exceeded_by(wanted))), "")


def settled(told: Usage | None, reserve: Usage) -> Usage:
    """What a call took: as its endpoint tells, or what was set aside where it tells nothing that can be believed."""
    if told is None:
        return reserve
    most_in = reserve.tokens_in * BELIEVED_TIMES_MAX + OVERHEAD_TOKENS_MAX
    most_out = reserve.tokens_out * BELIEVED_TIMES_MAX
    believed_in = max(1, reserve.tokens_in // BELIEVED_TIMES_MAX) <= told.tokens_in <= most_in
    return told if believed_in and 0 < told.tokens_out <= most_out else reserve


def dollars(microdollars: int) -> str:
    """Money for people, such as `$0.001234`."""
    whole, rest = divmod(microdollars, _MILLION)
    return f"${whole}.{rest:06}"


def told_cost(cost: Cost, usage: Usage) -> str:
    """A cost for people; records of before prompts and answers were counted apart have tokens alone."""
    apart = f" ({usage.tokens_in} in, {usage.tokens_out} out)" if usage.tokens else ""
    return f"{cost.tokens} tokens{apart}" + (f", {dollars(cost.microdollars)}" if cost.microdollars else "")
