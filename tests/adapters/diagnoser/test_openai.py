"""The client of a model, against real sockets on loopback: every bad endpoint becomes one error with its reason."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from pitcrew.adapters.breaker import BreakerState
from pitcrew.adapters.diagnoser.openai import OpenAIConsultant, fault, shown_endpoint
from pitcrew.core.cost import Usage
from pitcrew.core.errors import ModelUnreachable, Unavailable
from pitcrew.core.opinion import Unusable, ask_again
from pitcrew.core.prompt import Question, Vocabulary
from pitcrew.core.resource import Egress
from tests.fakes.model_faults import NEVER_WHOLE, TAKEN, UNREADABLE, busy
from tests.fakes.model_server import Asked, Behaviour, ModelServer, answers, completion, serving
from tests.loop import virtual

KEY = "sk-very-secret-0123456789abcdef"
QUESTION = Question(
    system="choose",
    user="EVIDENCE",
    vocabulary=Vocabulary(causes=("Hang",), runbooks=("hang",), evidence=("E1",)),
    answer_tokens_max=321,
)
USAGE = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
PATIENT_S, HASTY_S = 30.0, 0.4


class Time:
    """A monotonic clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def consultant(url: str, *, deadline_s: float = PATIENT_S, time: Time | None = None) -> OpenAIConsultant:
    return OpenAIConsultant(model="m", api_key=KEY, base_url=url, deadline_s=deadline_s, monotonic=time or Time())


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def only(way: str, status: int = 500) -> Behaviour:
    """Takes one way of asking, and answers the others with a status."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        good = answers(completion("{}", usage=USAGE))
        bad = answers('{"error": {"message": "this response_format is not supported"}}', status=status)
        await (good if asked.way == way else bad)(asked, writer)

    return behave


def test_a_good_endpoint_is_asked_once_with_a_closed_schema() -> None:
    async def test() -> None:
        async with serving(only("json_schema")) as server:
            model = consultant(server.url)
            answer = await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert (answer.text, answer.usage, answer.way) == ("{}", Usage(tokens_in=40, tokens_out=2), "json_schema")
        (asked,) = server.asked
        assert asked.path == "/v1/chat/completions"
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert (asked.body["max_tokens"], asked.body["temperature"]) == (321, 0)
        schema = asked.body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["cause"]["enum"] == ["Hang"]
        assert "maxLength" not in json.dumps(schema)

    run(test())


@pytest.mark.parametrize(
    ("way", "status", "tried"), [("json_object", 500, 2), ("json_object", 400, 2), ("text", 422, 3)]
)
def test_the_way_that_an_endpoint_takes_is_found_once_and_remembered(way: str, status: int, tried: int) -> None:
    async def test() -> None:
        async with serving(only(way, status)) as server:
            model = consultant(server.url)
            assert (await model.ask(QUESTION, Egress.ANY)).way == way
            assert [one.way for one in server.asked] == ["json_schema", "json_object", "text"][:tried]
            await model.ask(QUESTION, Egress.ANY)
            assert len(server.asked) == tried + 1
            await model.close()
        if way == "json_object":
            assert server.asked[-1].body["response_format"]["schema"]["additionalProperties"] is False

    run(test())


def test_a_model_that_takes_other_parameters_is_asked_with_those() -> None:
    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if "max_tokens" in asked.body:
            text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        elif "temperature" in asked.body:
            text = "Unsupported value: 'temperature' does not support 0."
        else:
            return await answers(completion("{}"))(asked, writer)
        return await answers(json.dumps({"error": {"message": text}}), status=400)(asked, writer)

    async def test() -> None:
        async with serving(behave) as server:
            model = consultant(server.url)
            assert (await model.ask(QUESTION, Egress.ANY)).way == "json_schema"
            await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert len(server.asked) == 4
        assert server.asked[-1].body["max_completion_tokens"] == 321

    run(test())


@pytest.mark.parametrize("name", NEVER_WHOLE)
@pytest.mark.parametrize("within_s", [None, HASTY_S / 2])
def test_a_silent_or_dripping_endpoint_is_cut_off_at_the_deadline(name: str, within_s: float | None) -> None:
    async def test() -> None:
        async with serving(NEVER_WHOLE[name].behave) as server:
            model = consultant(server.url, deadline_s=HASTY_S)
            with pytest.raises(Unavailable, match=f"no whole answer within {within_s or HASTY_S:g} s"):
                await model.ask(QUESTION, Egress.ANY, within_s=within_s)
            await server.gone.wait()
            await model.close()

    virtual.run(test())


@pytest.mark.parametrize(("behave", "told"), [(one.behave, one.told) for one in UNREADABLE.values()], ids=UNREADABLE)
def test_a_bad_answer_is_one_error_that_says_why(behave: Behaviour, told: str) -> None:
    async def test() -> None:
        async with serving(behave) as server:
            model = consultant(server.url)
            with pytest.raises(Unavailable, match=told) as caught:
                await model.ask(QUESTION, Egress.ANY)
            assert not isinstance(caught.value, ModelUnreachable)
            assert len(str(caught.value)) < 400
            assert server.asked
            await model.close()

    run(test())


def test_a_redirect_is_not_followed() -> None:
    async def test() -> None:
        async with serving(answers(completion("{}"))) as other:
            away = answers("", status=307, more=f"Location: {other.url}/chat/completions\r\n")
            async with serving(away) as server:
                model = consultant(server.url)
                with pytest.raises(Unavailable, match="HTTP 307"):
                    await model.ask(QUESTION, Egress.ANY)
                await model.close()
            assert other.asked == []

    run(test())


def test_a_key_that_an_endpoint_says_back_reaches_no_message() -> None:
    async def echo(asked: Asked, writer: asyncio.StreamWriter) -> None:
        said = f"wrong: {asked.headers['authorization']} \x1b[2J"
        await answers(json.dumps({"error": {"message": said}}), status=401)(asked, writer)

    async def test() -> None:
        async with serving(echo) as server:
            model = consultant(server.url)
            with pytest.raises(Unavailable) as caught:
                await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert KEY not in str(caught.value)
        assert "\x1b" not in str(caught.value)

    run(test())


NO_USAGE = [
    None,
    {},
    {"total_tokens": 42},
    {"prompt_tokens": "many", "completion_tokens": 2},
    {"prompt_tokens": 40, "completion_tokens": True},
    {"prompt_tokens": 40, "completion_tokens": 2.5},
    {"prompt_tokens": [40], "completion_tokens": 2},
]


@pytest.mark.parametrize("usage", NO_USAGE)
def test_a_usage_that_is_no_pair_of_numbers_is_unknown(usage: object) -> None:
    async def test() -> None:
        async with serving(answers(completion("{}", usage=usage))) as server:
            model = consultant(server.url)
            assert (await model.ask(QUESTION, Egress.ANY)).usage is None
            await model.close()

    run(test())


@pytest.mark.parametrize("text", ["I think it hangs.", "```json\n{}\n```"])
def test_an_endpoint_that_takes_a_way_and_answers_otherwise_is_asked_in_the_next_one(text: str) -> None:
    async def test() -> None:
        async with serving(answers(completion(text))) as server:
            model = consultant(server.url)
            for _ in range(4):
                await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert [one.way for one in server.asked] == ["json_schema", "json_object", "text", "text"]

    run(test())


@pytest.mark.parametrize("status", [500, 503])
def test_trouble_of_the_server_is_not_taken_for_a_word_against_a_way_that_has_worked(status: int) -> None:
    trouble: list[int] = []

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await answers(completion("{}"), status=trouble.pop() if trouble else 200)(asked, writer)

    async def test() -> None:
        async with serving(behave) as server:
            model = consultant(server.url)
            await model.ask(QUESTION, Egress.ANY)
            trouble.append(status)
            await _fails(model)
            await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert [one.way for one in server.asked] == ["json_schema"] * 3

    run(test())


def test_a_way_that_an_endpoint_does_not_take_any_more_is_given_up() -> None:
    async def test() -> None:
        behave: list[Behaviour] = [only("json_object")]

        async def changes(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await behave[0](asked, writer)

        async with serving(changes) as server:
            model = consultant(server.url)
            await model.ask(QUESTION, Egress.ANY)
            behave[0] = only("text")
            await _fails(model)
            assert (await model.ask(QUESTION, Egress.ANY)).way == "text"
            await model.close()

    run(test())


def test_a_question_asked_again_holds_the_answer_and_goes_the_same_way_also_where_another_was_learned() -> None:
    async def test() -> None:
        async with serving(answers(completion("prose"))) as server:
            model = consultant(server.url)
            answer = await model.ask(QUESTION, Egress.ANY)
            await model.ask(ask_again(QUESTION, answer.text, Unusable(reason="no JSON object"), answer.way), Egress.ANY)
            await model.close()
        first, again = server.asked
        assert (first.way, again.way) == ("json_schema", "json_schema")
        assert [one["role"] for one in again.body["messages"]] == ["system", "user", "assistant", "user"]
        assert again.body["messages"][:2] == first.body["messages"]
        assert again.body["messages"][2]["content"] == "prose"
        assert "no JSON object" in again.body["messages"][3]["content"]

    run(test())


@pytest.mark.parametrize("status", [429, 503])
def test_a_short_wait_that_a_busy_endpoint_asks_for_is_kept_once(status: int) -> None:
    async def test() -> None:
        async with serving(busy(status, "1", times=1)) as server:
            model = consultant(server.url)
            assert (await model.ask(QUESTION, Egress.ANY)).way == "json_schema"
            assert len(server.asked) == 2
            assert model.state is BreakerState.CLOSED
            await model.close()

    virtual.run(test())


WAITS = {
    "longer than the deadline": ("20", 5.0, 1, 60),
    "longer than a wait may be": ("60", 30.0, 1, 60),
    "an hour": ("3600", 30.0, 1, 3_600),
    "a day": ("86400", 30.0, 1, 3_600),
    "short, and again": ("1", 30.0, 2, 60),
}


@pytest.mark.parametrize(("wait", "deadline_s", "calls", "rest_s"), WAITS.values(), ids=WAITS)
def test_a_busy_endpoint_is_left_alone_as_long_as_it_asks_for_within_reason(
    wait: str, deadline_s: float, calls: int, rest_s: int
) -> None:
    async def test() -> None:
        time = Time()
        async with serving(busy(429, wait)) as server:
            model = consultant(server.url, deadline_s=deadline_s, time=time)
            await _fails(model)
            assert len(server.asked) == calls
            time.now_s += rest_s - 1
            with pytest.raises(ModelUnreachable, match="left alone"):
                await model.ask(QUESTION, Egress.ANY)
            time.now_s += 2
            assert model.state is BreakerState.HALF_OPEN
            await model.close()

    virtual.run(test())


def test_a_date_until_which_it_is_busy_counts_from_its_own_clock() -> None:
    dates = "Date: Thu, 26 Nov 2026 11:00:00 GMT\r\n"
    until = f"Thu, 26 Nov 2026 11:10:00 GMT\r\n{dates}X-Rest: "

    async def test() -> None:
        async with serving(busy(503, until)) as server:
            model = consultant(server.url)
            with pytest.raises(Unavailable, match="left alone for 600 s"):
                await model.ask(QUESTION, Egress.ANY)
            await model.close()

    run(test())


def test_a_cookie_is_not_given_back() -> None:
    async def test() -> None:
        async with serving(TAKEN["a cookie"]) as server:
            model = consultant(server.url)
            await model.ask(QUESTION, Egress.ANY)
            await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert [one.headers.get("cookie") for one in server.asked] == [None, None]

    run(test())


def test_where_nobody_listens_nothing_was_spent_and_it_rests_after_a_few_tries() -> None:
    async def test() -> None:
        time = Time()
        async with serving(answers(completion("{}"))) as server:
            free = server.url
        model = consultant(free, time=time)
        for _ in range(3):
            with pytest.raises(ModelUnreachable, match=r"no connection to http://127\.0\.0\.1"):
                await model.ask(QUESTION, Egress.ANY)
        assert model.state is BreakerState.OPEN
        with pytest.raises(ModelUnreachable, match="left alone"):
            await model.ask(QUESTION, Egress.ANY)
        await model.close()

    run(test())


def test_after_its_rest_one_question_tries_and_an_answer_ends_the_rest() -> None:
    good: list[bool] = []

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (answers(completion("{}")) if good else answers("{}"))(asked, writer)

    async def test() -> None:
        time = Time()
        async with serving(behave) as server:
            model = consultant(server.url, time=time)
            for _ in range(3):
                await _fails(model)
            await _fails(model)
            assert len(server.asked) == 3
            time.now_s += 61
            await _fails(model)
            assert len(server.asked) == 4
            time.now_s += 61
            good.append(True)
            await model.ask(QUESTION, Egress.ANY)
            assert model.state is BreakerState.CLOSED
            await model.close()

    run(test())


async def _fails(model: OpenAIConsultant) -> None:
    with pytest.raises(Unavailable):
        await model.ask(QUESTION, Egress.ANY)


def test_a_question_that_is_given_up_hangs_up_at_once() -> None:
    async def test() -> None:
        async with serving(NEVER_WHOLE["silent"].behave) as server:
            model = consultant(server.url)
            asking = asyncio.ensure_future(model.ask(QUESTION, Egress.ANY))
            await _until_asked(server)
            asking.cancel()
            await server.gone.wait()
            assert asking.cancelled() or (await asyncio.gather(asking, return_exceptions=True))
            await model.close()

    run(test())


async def _until_asked(server: ModelServer) -> None:
    while not server.asked:
        await asyncio.sleep(0.01)


FAULTS = {
    "nothing": ("", "", "neither OPENAI_API_KEY nor OPENAI_BASE_URL"),
    "a file": ("k", "file:///etc/passwd", "no http or https URL"),
    "no host": ("k", "http://", "no http or https URL"),
    "a key": ("k", "", ""),
    "an endpoint": ("", "http://127.0.0.1:8001/v1", ""),
}


@pytest.mark.parametrize(("key", "url", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_not_configured_is_told(key: str, url: str, reason: str) -> None:
    assert reason in fault(key, url)
    assert bool(reason) == bool(fault(key, url))


def test_a_model_that_cannot_be_asked_says_so_without_a_try() -> None:
    model = OpenAIConsultant(model="m", api_key="", base_url="", deadline_s=PATIENT_S, monotonic=Time())
    with pytest.raises(ModelUnreachable, match="neither OPENAI_API_KEY"):
        run(model.ask(QUESTION, Egress.ANY))  # type: ignore[arg-type]


def test_an_endpoint_is_shown_without_what_may_be_secret() -> None:
    assert shown_endpoint("https://me:pw@llm.example:8443/v1?key=abc") == "https://llm.example:8443/v1"
    assert shown_endpoint("") == "https://api.openai.com/v1"
