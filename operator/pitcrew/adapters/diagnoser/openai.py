"""A model behind an OpenAI-compatible endpoint (port `Consultant`), whatever that endpoint does.

Structured output is asked for in the best way that the endpoint takes, which is found out once: `json_schema`; then
`json_object` with the schema beside it, as llama-cpp-python's server wants it; then plain text. Nothing here reads the
answer: that is the core's, and it is the same for each way.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pitcrew.adapters.breaker import Breaker, BreakerState
from pitcrew.adapters.diagnoser.loopback import Resolve, loopback_addresses, loopback_transport
from pitcrew.adapters.prober.names import Names
from pitcrew.core.errors import ModelUnreachable, Unavailable
from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.core.untrusted import clean
from pitcrew.ports import Answer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RESPONSE_BYTES_MAX = 256 * 1024
"""Bytes of one HTTP answer; a completion of the tokens asked for has a few thousand."""
FAILURES_MAX = 3
"""Failures in a row after which the endpoint is left alone for a while."""
REST_S = 60.0
"""Seconds it is left alone; then one question tries."""
DEFAULT_ENDPOINT = "https://api.openai.com/v1"


class Way(StrEnum):
    """How structured output is asked for, the strictest first."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


_NOT_THIS_WAY = (400, 404, 422, 500, 501)
"""Statuses by which servers say that they do not take a way of asking."""


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
        self._way: Way | None = None
        self._limit = "max_tokens"
        self._plain_temperature = True

    @property
    def state(self) -> BreakerState:
        """Where its breaker stands."""
        return self._breaker.state

    async def ask(self, question: Question, egress: Egress) -> Answer:
        """See `pitcrew.ports.Consultant`."""
        if self.fault:
            raise ModelUnreachable(self.fault)
        await self._check_reach(egress)
        if not self._breaker.admits():
            raise ModelUnreachable("its endpoint failed again and again, and is left alone for a while")
        try:
            answer = await self._bounded(question, egress)
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

    async def _bounded(self, question: Question, egress: Egress) -> Answer:
        """One deadline over everything; when it passes the connection is closed, whatever drips out of it.

        A server can answer with anything, and the SDK then raises more than its own errors: ValueError for what is no
        JSON, AttributeError and TypeError for JSON of another shape.
        """
        await asyncio.to_thread(_load)
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._asked(self._opened(egress), question)
        except TimeoutError:
            raise Unavailable(f"no whole answer within {self._deadline_s:g} s") from None
        except APIConnectionError as error:
            raise self._unconnected(error) from None
        except APIStatusError as error:
            raise Unavailable(f"HTTP {error.status_code}: {self._told(error)}") from None
        except (OpenAIError, ValueError, AttributeError, TypeError) as error:
            raise Unavailable(f"an answer that is none ({type(error).__name__}): {self._told(error)}") from None

    def _unconnected(self, error: Exception) -> Unavailable:
        from httpx2 import ConnectError, ConnectTimeout

        cause = error.__cause__
        if isinstance(cause, ConnectError | ConnectTimeout):
            return ModelUnreachable(f"no connection to {shown_endpoint(self._base_url)}: {self._told(cause)}")
        return Unavailable(f"no whole answer: {self._told(cause or error)}")

    def _told(self, error: BaseException) -> str:
        text = str(error).replace(self._key, "[redacted:api-key]") if self._key else str(error)
        return " ".join(clean(text, 200).split()) or type(error).__name__

    async def _asked(self, client: "AsyncOpenAI", question: Question) -> Answer:
        """In the way that worked last, or from the strictest down."""
        from openai import APIStatusError

        ways = list(Way)
        if self._way is not None:
            ways = ways[ways.index(self._way) :]
        for way in ways:
            try:
                answer = await self._in_one_way(client, question, way)
            except APIStatusError as error:
                if way is ways[-1] or error.status_code not in _NOT_THIS_WAY:
                    self._way = None
                    raise
                continue
            self._way = way
            return answer
        raise Unavailable("no way of asking is left")

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
            messages=[{"role": "system", "content": question.system}, {"role": "user", "content": question.user}],
            **options,
        )
        return Answer(text=_text_of(completion), tokens=_tokens_of(completion), way=str(way))

    def _opened(self, egress: Egress) -> "AsyncOpenAI":
        """The client that sends no farther than the egress."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        if egress not in self._clients:
            self._clients[egress] = AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self._base_url,
                max_retries=0,
                timeout=self._deadline_s,
                default_headers={"Accept-Encoding": "identity"},
                http_client=DefaultAsyncHttpxClient(
                    follow_redirects=False,
                    event_hooks={"response": [_bound]},
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


def _tokens_of(completion: object) -> int | None:
    total = getattr(getattr(completion, "usage", None), "total_tokens", None)
    return total if isinstance(total, int) and not isinstance(total, bool) and 0 < total < 10**7 else None


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
