"""A model behind an OpenAI-compatible endpoint (port `Consultant`), whatever that endpoint does.

Structured output is asked for in the best way that the endpoint takes, which is found out once: `json_schema`; then
`json_object` with the schema beside it, as llama-cpp-python's server wants it; then plain text. Nothing here reads the
answer: that is the core's, and it is the same for each way. An endpoint that takes a way and then answers otherwise is
asked in the next one from then on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pitcrew.adapters.breaker import Breaker, BreakerState
from pitcrew.adapters.diagnoser.loopback import Resolve, loopback_addresses, loopback_transport
from pitcrew.adapters.prober.names import Names
from pitcrew.core.cost import Usage
from pitcrew.core.errors import ModelUnreachable, Unavailable
from pitcrew.core.prompt import Message, Question, Role
from pitcrew.core.resource import Egress
from pitcrew.core.untrusted import clean
from pitcrew.ports import Answer

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

RESPONSE_BYTES_MAX = 256 * 1024
"""Bytes of one HTTP answer; a completion of the tokens asked for has a few thousand."""
FAILURES_MAX = 3
"""Failures in a row after which the endpoint is left alone for a while."""
REST_S = 60.0
"""Seconds it is left alone; then one question tries."""
WAIT_S_MAX = 10.0
"""Seconds that an endpoint may have a question wait (`Retry-After`), once, where the deadline leaves that much."""
REST_S_MAX = 3_600.0
"""Seconds that an endpoint may have itself left alone; none decides that PitCrew goes without a model for a day."""
DEFAULT_ENDPOINT = "https://api.openai.com/v1"


class Way(StrEnum):
    """How structured output is asked for, the strictest first."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


_NOT_THIS_WAY = (400, 404, 422, 500, 501)
"""Statuses by which servers say that they do not take a way of asking."""
_BUSY = (429, 503)
"""Statuses by which servers say that they have too much to do, and perhaps for how long."""


class _Busy(Unavailable):
    """The endpoint wants to be left alone for `rest_s` seconds."""

    def __init__(self, message: str, rest_s: float) -> None:
        super().__init__(message)
        self.rest_s = rest_s


class OpenAIConsultant:
    """Asks one model. `fault` says why it cannot be asked at all, or is empty."""

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        base_url: str,
        deadline_s: float,
        monotonic: Callable[[], float],
        resolve: Resolve | None = None,
        failures_max: int = FAILURES_MAX,
        rest_s: float = REST_S,
    ) -> None:
        self.model = model
        self.fault = fault(api_key, base_url)
        self._key = api_key
        self._base_url = base_url or DEFAULT_ENDPOINT
        self._deadline_s = deadline_s
        self._breaker = Breaker(failures_max=failures_max, open_s=rest_s, monotonic=monotonic)
        self._resolve = resolve or Names(lookups_max=1).addresses
        self._clients: dict[Egress, AsyncOpenAI] = {}
        self._way = Way.SCHEMA
        self._proved: Way | None = None
        self._limit = "max_tokens"
        self._plain_temperature = True

    @property
    def state(self) -> BreakerState:
        """Where its breaker stands."""
        return self._breaker.state

    async def ask(self, question: Question, egress: Egress, *, within_s: float | None = None) -> Answer:
        """See `pitcrew.ports.Consultant`."""
        if self.fault:
            raise ModelUnreachable(self.fault)
        await self._check_reach(egress)
        if not self._breaker.admits():
            raise ModelUnreachable("its endpoint failed again and again, and is left alone for a while")
        try:
            deadline_s = self._deadline_s if within_s is None else min(within_s, self._deadline_s)
            answer = await self._bounded(question, egress, deadline_s)
        except _Busy as error:
            self._breaker.failed(rest_s=error.rest_s)
            raise
        except Unavailable:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return answer

    async def close(self) -> None:
        """Let go of its connections."""
        for client in self._clients.values():
            await client.close()

    async def _check_reach(self, egress: Egress) -> None:
        """Raises ModelUnreachable where the endpoint lies beyond the egress. That says nothing against the endpoint,
        which may be asked for other services; so it comes before the breaker."""
        if egress is Egress.NONE:
            raise ModelUnreachable("egress is None: nothing may be sent anywhere")
        if egress is Egress.LOCAL:
            try:
                async with asyncio.timeout(self._deadline_s):
                    await loopback_addresses(urlsplit(self._base_url).hostname or "", self._resolve)
            except OSError as error:
                why = self._told(error)
                raise ModelUnreachable(f"egress is Local, and the endpoint is not here: {why}") from None

    async def _bounded(self, question: Question, egress: Egress, deadline_s: float) -> Answer:
        """One deadline over everything, waits included; when it passes the connection is closed, whatever drips out.

        A server can answer with anything, and the SDK then raises more than its own errors: ValueError for what is no
        JSON, AttributeError and TypeError for JSON of another shape.
        """
        await asyncio.to_thread(_load)
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            async with asyncio.timeout(deadline_s) as deadline:
                return await self._asked(self._opened(egress), question, deadline.when() or 0.0)
        except TimeoutError:
            raise Unavailable(f"no whole answer within {deadline_s:.3g} s") from None
        except APIConnectionError as error:
            raise self._unconnected(error) from None
        except APIStatusError as error:
            raise self._status(error) from None
        except (OpenAIError, ValueError, AttributeError, TypeError) as error:
            raise Unavailable(f"an answer that is none ({type(error).__name__}): {self._told(error)}") from None

    def _status(self, error: "APIStatusError") -> Unavailable:
        told, rest_s = f"HTTP {error.status_code}: {self._told(error)}", _retry_after_s(error)
        if rest_s is None:
            return Unavailable(told)
        bounded_s = min(rest_s, REST_S_MAX)
        return _Busy(f"{told}; it wants to be left alone for {rest_s:g} s, and is for {bounded_s:g} s", bounded_s)

    def _unconnected(self, error: Exception) -> Unavailable:
        from httpx2 import ConnectError, ConnectTimeout

        cause = error.__cause__
        if isinstance(cause, ConnectError | ConnectTimeout):
            return ModelUnreachable(f"no connection to {shown_endpoint(self._base_url)}: {self._told(cause)}")
        return Unavailable(f"no whole answer: {self._told(cause or error)}")

    def _told(self, error: BaseException) -> str:
        text = str(error).replace(self._key, "[redacted:api-key]") if self._key else str(error)
        return " ".join(clean(text, 200).split()) or type(error).__name__

    async def _asked(self, client: "AsyncOpenAI", question: Question, ends_at: float) -> Answer:
        """In the way that the question names, or from that which is known to work, or from the strictest down."""
        from openai import APIStatusError

        if question.way in list(Way):
            return await self._patiently(client, question, Way(question.way), ends_at)
        ways = list(Way)[list(Way).index(self._way) :]
        for way in ways:
            try:
                answer = await self._patiently(client, question, way, ends_at)
            except APIStatusError as error:
                if not self._take_refusal(way, error.status_code):
                    raise
                if way is ways[-1]:
                    self._way = Way.SCHEMA
                    raise
                continue
            self._learn(way, answer.text)
            return answer
        raise Unavailable("no way of asking is left")

    def _take_refusal(self, way: Way, status: int) -> bool:
        """Note how a way was answered, and whether that speaks against the way: once it has worked, trouble of the
        server does not."""
        proved, self._proved = self._proved, None if status >= 500 else self._proved
        return status in _NOT_THIS_WAY and not (way is proved and status >= 500)

    def _learn(self, way: Way, text: str) -> None:
        """Begin with this way from now on; with the one below where the answer is not what the way enforces."""
        enforced = text.rstrip().endswith("}")
        self._way = way if enforced or way is Way.TEXT else _next(way)
        self._proved = way if enforced else None

    async def _patiently(self, client: "AsyncOpenAI", question: Question, way: Way, ends_at: float) -> Answer:
        """Once more after the wait that a busy endpoint asked for, where that is short; never a second time."""
        from openai import APIStatusError

        try:
            return await self._in_one_way(client, question, way)
        except APIStatusError as error:
            wait_s = _retry_after_s(error)
            if wait_s is None or wait_s > min(WAIT_S_MAX, ends_at - asyncio.get_running_loop().time()):
                raise
        await asyncio.sleep(wait_s)
        return await self._in_one_way(client, question, way)

    async def _in_one_way(self, client: "AsyncOpenAI", question: Question, way: Way) -> Answer:
        """Some models take the bound of the answer under another name, or no temperature: their word is taken, once."""
        from openai import BadRequestError

        for _ in range(2):
            try:
                return await self._call(client, question, way)
            except BadRequestError as error:
                if not self._learned(str(error)):
                    raise
        return await self._call(client, question, way)

    def _learned(self, text: str) -> bool:
        if self._limit == "max_tokens" and "max_completion_tokens" in text:
            self._limit = "max_completion_tokens"
            return True
        if self._plain_temperature and "temperature" in text:
            self._plain_temperature = False
            return True
        return False

    async def _call(self, client: "AsyncOpenAI", question: Question, way: Way) -> Answer:
        options: dict[str, Any] = {self._limit: question.answer_tokens_max}
        if self._plain_temperature:
            options["temperature"] = 0
        if (wanted := _response_format(question, way)) is not None:
            options["response_format"] = wanted
        completion = await client.chat.completions.create(
            model=self.model,
            messages=[_message(one) for one in question.messages],
            **options,
        )
        return Answer(text=_text_of(completion), usage=_usage_of(completion), way=str(way))

    def _opened(self, egress: Egress) -> "AsyncOpenAI":
        """The client that sends no farther than the egress."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        hooks: dict[str, list[Callable[..., Any]]] = {"request": [_without_cookie], "response": [_bound]}
        if egress not in self._clients:
            self._clients[egress] = AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self._base_url,
                max_retries=0,
                timeout=self._deadline_s,
                default_headers={"Accept-Encoding": "identity"},
                http_client=DefaultAsyncHttpxClient(
                    follow_redirects=False,
                    event_hooks=hooks,
                    transport=None if egress is Egress.ANY else loopback_transport(self._resolve),
                ),
            )
        return self._clients[egress]


def _load() -> None:
    """Importing the SDK takes most of a second, which the loop does not have."""
    import openai  # noqa: F401


def fault(api_key: str, base_url: str) -> str:
    """Why a model cannot be asked with these, for people; empty where it can."""
    if not api_key and not base_url:
        return "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"
    if base_url and (urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname):
        return "OPENAI_BASE_URL is no http or https URL"
    return ""


def shown_endpoint(base_url: str) -> str:
    """The endpoint for people: without user, password and query."""
    parts = urlsplit(base_url or DEFAULT_ENDPOINT)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return clean(f"{parts.scheme}://{host}{parts.path}", 200)


def _next(way: Way) -> Way:
    """The way below one."""
    ways = list(Way)
    return ways[ways.index(way) + 1]


def _retry_after_s(error: "APIStatusError") -> float | None:
    """Seconds that a busy endpoint wants to be left alone; None where it says none that can be read (RFC 9110,
    section 10.2.3: whole seconds, or a date, which is compared with the answer's own)."""
    told = error.response.headers.get("retry-after", "").strip()
    if error.status_code not in _BUSY or not told:
        return None
    if told.isascii() and told.isdigit():
        return float(told[:9])
    try:
        until, now = (parsedate_to_datetime(text) for text in (told, error.response.headers.get("date", "")))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _message(message: Message) -> "ChatCompletionMessageParam":
    match message.role:
        case Role.SYSTEM:
            return {"role": "system", "content": message.text}
        case Role.USER:
            return {"role": "user", "content": message.text}
        case Role.ASSISTANT:
            return {"role": "assistant", "content": message.text}


def _response_format(question: Question, way: Way) -> dict[str, Any] | None:
    match way:
        case Way.SCHEMA:
            schema = {"name": "diagnosis", "strict": True, "schema": _without(question.schema, "maxLength")}
            return {"type": "json_schema", "json_schema": schema}
        case Way.OBJECT:
            return {"type": "json_object", "schema": question.schema}
        case Way.TEXT:
            return None


def _without(schema: Any, keyword: str) -> Any:
    """The schema without a keyword that strict servers refuse."""
    if isinstance(schema, Mapping):
        return {key: _without(value, keyword) for key, value in schema.items() if key != keyword}
    return schema


def _text_of(completion: object) -> str:
    """The text of the first choice. Raises Unavailable where a completion holds none, or only a part of one."""
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise Unavailable("an answer without choices")
    first = choices[0]
    if getattr(first, "finish_reason", None) == "length":
        raise Unavailable("the answer was cut off at its bound of tokens")
    message = getattr(first, "message", None)
    if getattr(message, "refusal", None):
        raise Unavailable("the model refused to answer")
    text = getattr(message, "content", None)
    if not isinstance(text, str) or not text.strip():
        raise Unavailable("an answer without text")
    return text


def _usage_of(completion: object) -> Usage | None:
    """What the endpoint tells of tokens, true or not; None where it is no pair of numbers."""
    usage = getattr(completion, "usage", None)
    told = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    counts = [one for one in told if isinstance(one, int) and not isinstance(one, bool)]
    return Usage(tokens_in=counts[0], tokens_out=counts[1]) if len(counts) == 2 else None


async def _without_cookie(request: Any) -> None:
    """An endpoint has no business knowing a question by the one before."""
    request.headers.pop("cookie", None)


async def _bound(response: Any) -> None:
    """Cap what is read of a response, before any of it is read; nothing compressed, which could be a bomb."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ValueError("the answer is compressed, which was not asked for")
    response.stream = _capped_stream(response.stream)


def _capped_stream(stream: Any) -> Any:
    from httpx2 import AsyncByteStream

    class Capped(AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for chunk in stream:
                read += len(chunk)
                if read > RESPONSE_BYTES_MAX:
                    raise ValueError(f"the answer is larger than {RESPONSE_BYTES_MAX} bytes")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    return Capped()
