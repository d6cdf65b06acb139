"""Calls to addresses that a person set, over TLS as well: the name is checked, also where it was resolved before."""

import asyncio
import ssl
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pitcrew.adapters.outgoing import Caller
from pitcrew.core.errors import Unavailable
from tests.listener import DRIP, HANG, Listener


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.parametrize("answer", [HANG, DRIP], ids=["hangs", "drips"])
def test_a_call_ends_at_its_deadline_and_says_only_the_host(answer: int) -> None:
    async def play() -> None:
        async with Listener(answer).listening() as listener:
            caller = Caller(httpx.URL(listener.url))
            with pytest.raises(Unavailable, match=r"^http://127\.0\.0\.1: no answer within 0\.2 s$"):
                await caller.call("GET", deadline_s=0.2)
            await caller.close()

    run(play())


def test_the_name_stays_the_name_for_tls_and_for_the_server() -> None:
    seen: list[httpx.Request] = []

    def answers(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    async def play() -> None:
        caller = Caller(httpx.URL("https://localhost:8443/a?b=c"), transport=httpx.MockTransport(answers))
        assert await caller.call("GET", deadline_s=5) == 200
        await caller.close()

    run(play())
    (request,) = seen
    assert request.headers["host"] == "localhost:8443"
    assert request.extensions["sni_hostname"] == "localhost"
    assert request.url.host in ("127.0.0.1", "::1")
    assert request.url.raw_path == b"/a?b=c"


def self_signed(directory: Path) -> ssl.SSLContext:
    """What a server of somebody else shows: a certificate for the right name that nobody trusts."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begins)
        .not_valid_after(begins + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_server_that_cannot_prove_its_name_is_told_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self_signed(tmp_path))
        caller = Caller(httpx.URL(f"https://localhost:{server.sockets[0].getsockname()[1]}/"))
        with pytest.raises(Unavailable):
            await caller.call("POST", deadline_s=20, content=b"secret")
        await caller.close()
        server.close()
        assert heard == []

    run(play())


def test_nobody_there_is_told_without_the_secret_in_the_path() -> None:
    async def play() -> None:
        caller = Caller(httpx.URL("http://127.0.0.1:1/secret-token"))
        with pytest.raises(Unavailable) as told:
            await caller.call("GET", deadline_s=5)
        await caller.close()
        assert "secret-token" not in str(told.value)

    run(play())
