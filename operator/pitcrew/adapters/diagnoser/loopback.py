"""Which endpoints are on this machine, and requests that reach those and nothing else, whatever a name resolves to.

An endpoint is here where each address of its host is loopback: a literal one, or a name that resolves to loopback only.
What is connected to is the address that was looked at, never the name again. What a server here sends on is its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING

from pitcrew.adapters.prober.addresses import Address

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
"""The addresses of a host; raises OSError where there are none to be had."""

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""Not what is carried inside another address: that leads where a gateway says."""


async def loopback_addresses(host: str, resolve: Resolve) -> Sequence[Address]:
    """The addresses of a host on this machine.

    Raises:
        OSError: it has none, or one that is not loopback; the text says which.
    """
    addresses = await resolve(host)
    elsewhere = next((one for one in addresses if not any(one in network for network in _LOOPBACK)), None)
    if elsewhere is not None:
        raise OSError(f"{host} is not this machine's loopback: {elsewhere}")
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses


def loopback_transport(resolve: Resolve) -> "AsyncBaseTransport":
    """A transport that connects to this machine's loopback only; proxies of the environment are not used."""
    from httpx2 import AsyncBaseTransport, AsyncHTTPTransport, ConnectError, Request, Response

    class Loopback(AsyncBaseTransport):
        def __init__(self) -> None:
            self._carrier = AsyncHTTPTransport()

        async def handle_async_request(self, request: Request) -> Response:
            host = request.url.host
            try:
                addresses = await loopback_addresses(host, resolve)
            except OSError as error:
                raise ConnectError(str(error), request=request) from error
            request.extensions = {**request.extensions, "sni_hostname": host}
            for address in addresses[:-1]:
                try:
                    return await self._to(address, request)
                except ConnectError:
                    continue
            return await self._to(addresses[-1], request)

        async def _to(self, address: Address, request: Request) -> Response:
            request.url = request.url.copy_with(host=str(address))
            return await self._carrier.handle_async_request(request)

        async def aclose(self) -> None:
            await self._carrier.aclose()

    return Loopback()
