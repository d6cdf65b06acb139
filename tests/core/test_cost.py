"""What asking costs is whole, rounded up, bounded before it is spent, and not what an endpoint likes to tell."""

import pytest

from pitcrew.core.cost import Budget, Cost, Price, Usage, dollars, exceeded, settled, told_cost

RESERVE = Usage(tokens_in=1_600, tokens_out=600)
BELIEVED = {
    "as usual": Usage(tokens_in=900, tokens_out=140),
    "more than was set aside": Usage(tokens_in=2_400, tokens_out=1_800),
    "a whole chat template beside it": Usage(tokens_in=1_600 + 2_048, tokens_out=1),
}
NOT_BELIEVED = {
    "nothing": None,
    "zero": Usage(),
    "negative": Usage(tokens_in=-900, tokens_out=-140),
    "a negative answer": Usage(tokens_in=900, tokens_out=-140),
    "one token for a long prompt": Usage(tokens_in=1, tokens_out=140),
    "an answer for nothing": Usage(tokens_in=900, tokens_out=0),
    "a prompt beyond reason": Usage(tokens_in=10**12, tokens_out=140),
    "an answer beyond reason": Usage(tokens_in=900, tokens_out=10**12),
}


@pytest.mark.parametrize("told", BELIEVED.values(), ids=BELIEVED)
def test_a_usage_within_reason_is_what_was_spent(told: Usage) -> None:
    assert settled(told, RESERVE) == told


@pytest.mark.parametrize("told", NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_a_usage_that_is_no_usage_counts_as_set_aside(told: Usage | None) -> None:
    assert settled(told, RESERVE) == RESERVE


PRICED = {
    "without a price": (Price(), 1_000, 1_000, 0),
    "prompts and answers apart": (
        Price(in_per_million=150_000, out_per_million=600_000),
        2_000_000,
        1_000_000,
        900_000,
    ),
    "a fraction is rounded up": (Price(in_per_million=1), 1, 0, 1),
    "two fractions are one": (Price(in_per_million=1, out_per_million=1), 1, 1, 1),
}


@pytest.mark.parametrize(("price", "tokens_in", "tokens_out", "microdollars"), PRICED.values(), ids=PRICED)
def test_money_is_whole_microdollars(price: Price, tokens_in: int, tokens_out: int, microdollars: int) -> None:
    usage = Usage(tokens_in=tokens_in, tokens_out=tokens_out)
    assert price.of(usage) == Cost(tokens=tokens_in + tokens_out, microdollars=microdollars)


BUDGETS = {
    "room for all of it": (900, 90, ""),
    "no room for the tokens": (901, 0, "over budget: 100 + 901 of 1000 tokens in one hour"),
    "no room for the money": (1, 91, "over budget: $0.000010 + $0.000091 of $0.000100 in one hour"),
}


@pytest.mark.parametrize(("tokens", "microdollars", "told"), BUDGETS.values(), ids=BUDGETS)
def test_a_budget_binds_before_it_is_spent(tokens: int, microdollars: int, told: str) -> None:
    spent = Cost(tokens=100, microdollars=10)
    budget = Budget(of="in one hour", tokens_max=1_000, microdollars_max=100, spent=spent)
    wide = Budget(of="in 24 hours", tokens_max=10**6, microdollars_max=10**6, spent=spent)
    wanted = Cost(tokens=tokens, microdollars=microdollars)
    assert budget.exceeded_by(wanted) == told
    assert exceeded((wide, budget), wanted) == told


def test_without_a_price_money_binds_nothing_also_where_it_was_spent_before() -> None:
    broke = Budget(of="in one hour", tokens_max=10, microdollars_max=0, spent=Cost(microdollars=5))
    assert broke.exceeded_by(Cost(tokens=10)) == ""


def test_a_cost_reads_as_tokens_apart_where_they_are_known_and_as_money_where_there_is_a_price() -> None:
    assert told_cost(Cost(tokens=7), Usage()) == "7 tokens"
    assert told_cost(Cost(tokens=7, microdollars=1_250_000), Usage(tokens_in=5, tokens_out=2)) == (
        "7 tokens (5 in, 2 out), $1.250000"
    )
    assert dollars(1) == "$0.000001"
