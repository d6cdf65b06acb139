"""What endpoints of models do wrong, by name: how each behaves, and what PitCrew says of it."""

import asyncio
import gzip
import json
from dataclasses import dataclass

from tests.fakes.consultant import opinion
from tests.fakes.model_server import Asked, Behaviour, answers, completion

HTML = "<!doctype html><title>Please log in</title>"
DRIP_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`told` is a pattern of what the record says of it."""

    behave: Behaviour
    told: str


async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Takes the question and says nothing, ever."""
    await asyncio.Event().wait()


async def drips(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A body of one blank at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    await _for_ever(b" ", writer)


async def drips_headers(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Headers without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await _for_ever(b"X-Drip: 1\r\n", writer)


async def _for_ever(drop: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(drop)
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def cut_short(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """The connection is reset in the middle of a body."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()


async def no_http(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Another protocol."""
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


def says(text: object, **more: object) -> Behaviour:
    """A whole completion with this text."""
    return answers(completion(text, **more))  # type: ignore[arg-type]


def busy(status: int, retry_after: str, *, times: int = 1_000) -> Behaviour:
    """Too much to do, for the first few calls."""
    calls = 0

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        header = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        overloaded = answers('{"error": {"message": "slow down"}}', status=status, more=header)
        await (overloaded if calls <= times else says(opinion()))(asked, writer)

    return behave


NEVER_WHOLE: dict[str, Fault] = {
    "silent": Fault(behave=silent, told="no whole answer within"),
    "drips": Fault(behave=drips, told="no whole answer within"),
    "drips headers": Fault(behave=drips_headers, told="no whole answer within"),
}
"""Only a deadline ends these."""

UNREADABLE: dict[str, Fault] = {
    "a page as HTML": Fault(behave=answers(HTML, kind="text/html"), told="without choices"),
    "a page as JSON": Fault(behave=answers(HTML), told="an answer that is none"),
    "an empty object": Fault(behave=answers("{}"), told="without choices"),
    "an empty body": Fault(behave=answers(""), told="an answer that is none"),
    "a list": Fault(behave=answers("[]"), told="without choices|an answer that is none"),
    "null": Fault(behave=answers("null"), told="without choices|an answer that is none"),
    "a number": Fault(behave=answers("7"), told="without choices|an answer that is none"),
    "no choices": Fault(behave=answers('{"choices": []}'), told="without choices"),
    "null choices": Fault(behave=answers('{"choices": null}'), told="without choices"),
    "choices that are none": Fault(behave=answers('{"choices": [1, "x"]}'), told="without text"),
    "choices as an object": Fault(behave=answers('{"choices": {"a": 1}}'), told="without choices"),
    "a body nested without end": Fault(
        behave=answers('{"choices":' * 50_000 + "1" + "}" * 50_000), told="an answer that is none"
    ),
    "no text": Fault(behave=says(None), told="without text"),
    "blank text": Fault(behave=says("  \n"), told="without text"),
    "text as a list": Fault(behave=says(["x"]), told="without text"),
    "cut off by its bound": Fault(behave=says('{"cause":', finish="length"), told="cut off"),
    "a refusal": Fault(behave=says("", refusal="I cannot help"), told="refused to answer"),
    "unauthorised": Fault(behave=answers('{"error": {"message": "bad key"}}', status=401), told="HTTP 401: .*bad key"),
    "too many requests": Fault(behave=busy(429, ""), told="HTTP 429"),
    "too many requests for an hour": Fault(behave=busy(429, "3600"), told="HTTP 429: .*left alone for 3600 s"),
    "too many requests for ever": Fault(behave=busy(429, "9" * 40), told="HTTP 429: .*and is for 3600 s"),
    "too many requests, again after the wait": Fault(behave=busy(429, "1"), told="HTTP 429: .*left alone for 1 s"),
    "a wait that is none": Fault(behave=busy(429, "-5"), told="HTTP 429"),
    "overloaded": Fault(behave=answers("busy", status=503, kind="text/plain"), told="HTTP 503"),
    "broken in every way": Fault(behave=answers('{"error": {}}', status=500), told="HTTP 500"),
    "a redirect": Fault(
        behave=answers("", status=307, more="Location: http://127.0.0.1:9/v1/chat/completions\r\n"), told="HTTP 307"
    ),
    "10 MB": Fault(behave=says("x" * 10_000_000), told="larger than"),
    "a bomb": Fault(
        behave=answers(gzip.compress(completion("x" * 10**6).encode()), more="Content-Encoding: gzip\r\n"),
        told="compressed",
    ),
    "huge headers": Fault(
        behave=answers(completion(opinion()), more=f"X-Big: {'x' * 1_000_000}\r\n"), told="no whole answer"
    ),
    "not text": Fault(behave=answers(b"\xff\xfe\x00"), told="an answer that is none"),
    "cut short": Fault(behave=cut_short, told="no whole answer"),
    "no HTTP": Fault(behave=no_http, told="no whole answer"),
}
"""Nothing in these is an answer of a model."""

_GOOD = opinion()
UNUSABLE: dict[str, Fault] = {
    "prose": Fault(behave=says("You should restart it."), told="no JSON object"),
    "HTML in the text": Fault(behave=says(HTML), told="no JSON object"),
    "only thinking": Fault(behave=says(f"<think>{_GOOD}</think>"), told="no JSON object"),
    "an empty object in the text": Fault(behave=says("{}"), told="no cause"),
    "cut without a word": Fault(behave=says(_GOOD[:-9]), told="no JSON object"),
    "nested without end": Fault(behave=says('{"summary":' * 5_000 + "1" + "}" * 5_000), told="larger than|no JSON"),
    "NaN": Fault(behave=says(_GOOD.replace("90", "NaN")), told="not whole"),
    "infinity": Fault(behave=says(_GOOD.replace("90", "-Infinity")), told="not whole"),
    "an action": Fault(behave=says(_GOOD[:-1] + ', "action": "restart"}'), told="extra field 'action'"),
    "a key twice": Fault(behave=says(_GOOD[:-1] + ', "cause": "Hang"}'), told="a key twice"),
    "a foreign word": Fault(behave=says(opinion(cause="DeleteVolume")), told="none of those offered"),
    "evidence that does not exist": Fault(behave=says(opinion(evidence=("E99",))), told="none of those offered"),
    "two objects": Fault(behave=says(f"{_GOOD}\n{_GOOD}"), told="no JSON object"),
    "20 kB": Fault(behave=says(opinion() + " " * 20_000), told="larger than"),
}
"""A model answers, and not what it was asked: each is given back to it once."""

TAKEN: dict[str, Behaviour] = {
    "prose around JSON": says(f"The answer is {_GOOD}. Good luck"),
    "thinking before JSON": says(f"<think>is it {{hang}}?</think>\n{_GOOD}"),
    "a fence": says(f"```json\n{_GOOD}\n```"),
    "a completion that calls itself HTML": answers(completion(_GOOD), kind="text/html"),
    "a cookie": answers(completion(_GOOD), more="Set-Cookie: a=b; Path=/\r\n"),
    "usage that is negative": says(_GOOD, usage={"prompt_tokens": -5, "completion_tokens": -9, "total_tokens": -14}),
    "usage of next to nothing": says(_GOOD, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
    "usage beyond reason": says(_GOOD, usage={"prompt_tokens": 10**12, "completion_tokens": 10**12}),
    "usage in words": says(_GOOD, usage={"prompt_tokens": "many", "completion_tokens": True}),
    "usage that is null": says(_GOOD, usage=json.loads("{}")),
    "too many requests for a second": busy(429, "1", times=1),
    "overloaded for a second": busy(503, "1", times=1),
}
"""Odd, and taken all the same; none tells a usage that can be believed."""
