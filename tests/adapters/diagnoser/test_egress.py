"""Where the client of a model connects to, against real sockets: under Local to this machine's loopback alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from itertools import chain, repeat

import pytest

from pitcrew.adapters.breaker import BreakerState
from pitcrew.adapters.diagnoser.openai import OpenAIConsultant
from pitcrew.adapters.prober.addresses import Address
from pitcrew.core.errors import ModelUnreachable
from pitcrew.core.resource import Egress
from tests.adapters.diagnoser.test_openai import KEY, PATIENT_S, QUESTION, Time, run
from tests.fakes.model_server import ModelServer, answers, completion, serving

ELSEWHERE = "192.0.2.7"
"""Documentation address (RFC 5737): nobody answers there, and nothing is to be sent there."""
GOOD = answers(completion("yes"))
Resolve = Callable[[str], Awaitable[Sequence[Address]]]


class Resolver:
    """Gives these answers one after the other, the last for ever."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = chain(answers, repeat(answers[-1]))
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[Address]:
        self.asked.append(host)
        return [ip_address(text) for text in next(self._answers)]


async def unknown(host: str) -> Sequence[Address]:
    raise OSError("Name or service not known")


async def hangs(host: str) -> Sequence[Address]:
    await asyncio.Event().wait()
    raise AssertionError


def consultant(url: str, resolve: Resolve | None = None, *, deadline_s: float = PATIENT_S) -> OpenAIConsultant:
    return OpenAIConsultant(
        model="m", api_key=KEY, base_url=url, deadline_s=deadline_s, monotonic=Time(), resolve=resolve
    )


def named(server: ModelServer, host: str = "llm.example") -> str:
    return f"http://{host}:{server.port}/v1"


def test_local_reaches_a_server_on_loopback_by_its_address() -> None:
    async def test() -> None:
        async with serving(GOOD) as server:
            model = consultant(server.url)
            assert (await model.ask(QUESTION, Egress.LOCAL)).text == "yes"
            assert (await model.ask(QUESTION, Egress.ANY)).text == "yes"
            await model.close()
        assert len(server.asked) == 2

    run(test())


def test_local_reaches_a_name_that_resolves_to_loopback_only_and_keeps_its_name_in_the_request() -> None:
    async def test() -> None:
        async with serving(GOOD) as server:
            resolver = Resolver(("::1", "127.0.0.1"))
            model = consultant(named(server), resolver)
            assert (await model.ask(QUESTION, Egress.LOCAL)).text == "yes"
            await model.close()
        assert server.asked[0].headers["host"] == f"llm.example:{server.port}"
        assert set(resolver.asked) == {"llm.example"}

    run(test())


NOT_HERE: dict[str, tuple[str, ...]] = {
    "another machine": (ELSEWHERE,),
    "this machine and another": ("127.0.0.1", ELSEWHERE),
    "a neighbour": ("10.0.0.7",),
    "a metadata service": ("169.254.169.254",),
    "the unspecified address": ("0.0.0.0",),
    "loopback carried in IPv6": ("::ffff:127.0.0.1",),
    "nothing at all": (),
}


@pytest.mark.parametrize("addresses", NOT_HERE.values(), ids=NOT_HERE.keys())
def test_local_sends_nothing_where_a_name_is_not_only_loopback(addresses: tuple[str, ...]) -> None:
    async def test() -> None:
        async with serving(GOOD) as server:
            model = consultant(named(server), Resolver(addresses))
            with pytest.raises(ModelUnreachable, match="egress is Local, and the endpoint is not here"):
                await model.ask(QUESTION, Egress.LOCAL)
            await model.close()
        assert server.asked == []

    run(test())


def test_local_refuses_a_name_that_cannot_be_resolved_and_one_that_takes_too_long() -> None:
    async def test() -> None:
        for resolve, deadline_s in ((unknown, PATIENT_S), (hangs, 0.1)):
            model = consultant("http://llm.example/v1", resolve, deadline_s=deadline_s)
            with pytest.raises(ModelUnreachable, match="egress is Local"):
                await model.ask(QUESTION, Egress.LOCAL)
            await model.close()

    run(test())


@pytest.mark.parametrize(
    "url", [f"http://{ELSEWHERE}/v1", "https://[2001:db8::7]/v1", ""], ids=["IPv4", "IPv6", "default"]
)
def test_local_refuses_a_remote_endpoint(url: str) -> None:
    async def test() -> None:
        model = consultant(url, None if url else Resolver((ELSEWHERE,)))
        with pytest.raises(ModelUnreachable, match="is not this machine's loopback"):
            await model.ask(QUESTION, Egress.LOCAL)
        await model.close()

    run(test())


def test_a_name_that_changes_its_answer_after_the_look_is_not_followed() -> None:
    async def test() -> None:
        async with serving(GOOD) as server:
            resolver = Resolver(("127.0.0.1",), (ELSEWHERE,))
            model = consultant(named(server), resolver)
            with pytest.raises(ModelUnreachable, match=f"llm.example is not this machine's loopback: {ELSEWHERE}"):
                await model.ask(QUESTION, Egress.LOCAL)
            await model.close()
        assert server.asked == []
        assert len(resolver.asked) == 2

    run(test())


def test_local_takes_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving(GOOD) as proxy, serving(GOOD) as server:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
            model = consultant(named(server), Resolver(("127.0.0.1",)))
            assert (await model.ask(QUESTION, Egress.LOCAL)).text == "yes"
            await model.close()
        assert (len(proxy.asked), len(server.asked)) == (0, 1)

    run(test())


def test_what_may_not_be_sent_says_nothing_against_the_endpoint() -> None:
    async def test() -> None:
        async with serving(GOOD) as server:
            model = consultant(named(server), Resolver((ELSEWHERE,)))
            for egress in (Egress.NONE, Egress.LOCAL) * 4:
                with pytest.raises(ModelUnreachable, match=f"egress is {egress}"):
                    await model.ask(QUESTION, egress)
            assert model.state is BreakerState.CLOSED
            await model.close()
        assert server.asked == []

    run(test())


def test_the_real_resolver_takes_localhost_for_this_machine() -> None:
    async def test() -> None:
        async with serving(GOOD) as server:
            model = consultant(named(server, "localhost"))
            assert (await model.ask(QUESTION, Egress.LOCAL)).text == "yes"
            await model.close()

    run(test())
