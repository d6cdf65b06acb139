"""The client of a model, against real sockets on loopback: every bad endpoint becomes one error with its reason."""

import asyncio
import gzip
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from pitcrew.adapters.breaker import BreakerState
from pitcrew.adapters.diagnoser.openai import RESPONSE_BYTES_MAX, OpenAIConsultant, fault, shown_endpoint
from pitcrew.core.errors import ModelUnreachable, Unavailable
from pitcrew.core.prompt import Question, Vocabulary
from pitcrew.core.resource import Egress
from tests.fakes.model_server import Asked, Behaviour, ModelServer, answers, completion, serving

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
        good = answers(completion("yes", usage=USAGE))
        bad = answers('{"error": {"message": "this response_format is not supported"}}', status=status)
        await (good if asked.way == way else bad)(asked, writer)

    return behave


def test_a_good_endpoint_is_asked_once_with_a_closed_schema() -> None:
    async def test() -> None:
        async with serving(only("json_schema")) as server:
            model = consultant(server.url)
            answer = await model.ask(QUESTION, Egress.ANY)
            await model.close()
        assert (answer.text, answer.tokens, answer.way) == ("yes", 42, "json_schema")
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
            return await answers(completion("yes"))(asked, writer)
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


async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def dripping(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def dripping_headers(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Drip: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("behave", [silent, dripping, dripping_headers], ids=lambda each: each.__name__)
def test_a_silent_or_dripping_endpoint_is_cut_off_at_the_deadline(behave: Behaviour) -> None:
    async def test() -> None:
        async with serving(behave) as server:
            model = consultant(server.url, deadline_s=HASTY_S)
            with pytest.raises(Unavailable, match="no whole answer within"):
                await model.ask(QUESTION, Egress.ANY)
            await server.gone.wait()
            await model.close()

    run(test())


async def cut(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    writer.transport.abort()


async def no_http(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


HTML = "<!doctype html><title>Please log in</title>"
BAD: dict[str, tuple[Behaviour, str]] = {
    "a page as HTML": (answers(HTML, kind="text/html"), "without choices"),
    "a page as JSON": (answers(HTML), "an answer that is none"),
    "an empty object": (answers("{}"), "without choices"),
    "a list": (answers("[]"), ""),
    "null": (answers("null"), ""),
    "a number": (answers("7"), ""),
    "no choices": (answers('{"choices": []}'), "without choices"),
    "null choices": (answers('{"choices": null}'), "without choices"),
    "choices that are none": (answers('{"choices": [1, "x"]}'), "without text"),
    "choices as an object": (answers('{"choices": {"a": 1}}'), "without choices"),
    "no text": (answers(completion(None)), "without text"),
    "blank text": (answers(completion("  \n")), "without text"),
    "text as a list": (answers(completion(["x"])), "without text"),
    "cut off by its bound": (answers(completion('{"cause":', finish="length")), "cut off"),
    "a refusal": (answers(completion("", refusal="I cannot help")), "refused"),
    "unauthorised": (answers('{"error": {"message": "bad key"}}', status=401), "HTTP 401: .*bad key"),
    "too many requests": (answers('{"error": {}}', status=429), "HTTP 429"),
    "overloaded": (answers("busy", status=503, kind="text/plain"), "HTTP 503"),
    "broken in every way": (answers('{"error": {}}', status=500), "HTTP 500"),
    "huge": (answers(completion("x" * RESPONSE_BYTES_MAX)), "larger than"),
    "a bomb": (
        answers(gzip.compress(completion("x" * 10**6).encode()), more="Content-Encoding: gzip\r\n"),
        "compressed",
    ),
    "not text": (answers(b"\xff\xfe\x00"), ""),
    "cut short": (cut, ""),
    "no HTTP": (no_http, ""),
}


@pytest.mark.parametrize(("behave", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_answer_is_one_error_that_says_why(behave: Behaviour, reason: str) -> None:
    async def test() -> None:
        async with serving(behave) as server:
            model = consultant(server.url)
            with pytest.raises(Unavailable, match=reason or ".") as caught:
                await model.ask(QUESTION, Egress.ANY)
            assert not isinstance(caught.value, ModelUnreachable)
            assert len(str(caught.value)) < 400
            assert server.asked
            await model.close()

    run(test())


def test_a_redirect_is_not_followed() -> None:
    async def test() -> None:
        async with serving(answers(completion("yes"))) as other:
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


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": -5}, {"total_tokens": "many"}, {"total_tokens": True}])
def test_a_cost_that_is_not_told_or_is_none_is_unknown(usage: object) -> None:
    async def test() -> None:
        async with serving(answers(completion("yes", usage=usage))) as server:
            model = consultant(server.url)
            assert (await model.ask(QUESTION, Egress.ANY)).tokens is None
            await model.close()

    run(test())


def test_where_nobody_listens_nothing_was_spent_and_it_rests_after_a_few_tries() -> None:
    async def test() -> None:
        time = Time()
        async with serving(answers(completion("yes"))) as server:
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
        await (answers(completion("yes")) if good else answers("{}"))(asked, writer)

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
        async with serving(silent) as server:
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
