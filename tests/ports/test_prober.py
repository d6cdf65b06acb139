"""The contract of `HttpProber`, on the fake and on the real one against servers that misbehave on loopback."""

import asyncio
import errno
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.prober.addresses import forbidden
from pitcrew.adapters.prober.http import DETAIL_BYTES_MAX, KubeletHttpProber
from pitcrew.core.observation import Outcome, ProbeReason, ProbeResult
from pitcrew.core.resource import HttpGet, TcpSocket
from pitcrew.ports import HttpProber
from tests.fakes import prober as fakes
from tests.fakes.prober import GARBAGE, OK, RESET, SILENT, FakeProber, Said, status

TIMEOUT_S = 0.4
PATIENT_S = 20.0
HEAD = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def ask(port: int, **fields: object) -> HttpGet:
    return HttpGet.model_validate({"port": port, **fields})


# Servers


def says(*pieces: bytes, then_hang: bool = False) -> Serve:
    """Read the request, write the pieces, and end the connection (or not)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then_hang:
            await reader.read()

    return serve


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    linger = writer.get_extra_info("socket")
    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte after another, each well within any timeout that counts from the last byte."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"Content-Length: 9999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(TIMEOUT_S / 20)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body without an end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


@asynccontextmanager
async def serving(serve: Serve, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port; yields the port."""

    served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served[asyncio.create_task(converse(reader, writer))] = writer

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for conversation, writer in served.items():
            conversation.cancel()
            writer.transport.abort()
        await asyncio.gather(*served, return_exceptions=True)
        with suppress(ConnectionError, ssl.SSLError):
            for writer in served.values():
                await writer.wait_closed()


@asynccontextmanager
async def full_backlog() -> AsyncIterator[int]:
    """A listener that never accepts and whose queue is full: the kernel drops every further SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = int(listener.getsockname()[1])
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


@asynccontextmanager
async def nobody() -> AsyncIterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


# The suite


LONG = b"X-Long: " + b"a" * 8000 + b"\r\n"
INTERIM = b"HTTP/1.1 100 C\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
Place = Callable[[], AbstractAsyncContextManager[int]]


def place(serve: Serve) -> Place:
    return lambda: serving(serve)


def broken(code: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nbody" % code


REFUSED = Said(outcome=Outcome.FAILURE, reason=ProbeReason.REFUSED)
CASES: dict[str, tuple[Place, Said]] = {
    "200": (place(says(HEAD + b"Content-Length: 2\r\n\r\nOK")), OK),
    "200 with a body that ends with the connection": (place(says(HEAD + b"\r\n", b"OK")), OK),
    "200 in chunks": (place(says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n")), OK),
    "200 byte by byte, in time": (place(says(*(bytes([b]) for b in HEAD + b"Content-Length: 0\r\n\r\n"))), OK),
    "200 and more than was announced": (place(says(HEAD + b"Content-Length: 2\r\n\r\nOKOKOK")), OK),
    "100 and 103, then 200": (place(says(INTERIM, b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" + HEAD + b"\r\n")), OK),
    "204": (place(says(NO_CONTENT, then_hang=True)), status(204)),
    "302 is not followed": (place(says(b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/\r\n\r\n")), status(302)),
    "399": (place(says(broken(399))), status(399)),
    "400": (place(says(broken(400))), status(400)),
    "404": (place(says(broken(404))), status(404)),
    "500": (place(says(broken(500))), status(500)),
    "101 is no success": (place(says(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n!")), status(101)),
    "an endless body is cut and its status counts": (place(floods), OK),
    "nobody listens": (nobody, REFUSED),
    "a backlog that is full": (full_backlog, SILENT),
    "hangs before the first byte": (place(says(then_hang=True)), SILENT),
    "hangs in the headers": (place(says(HEAD, then_hang=True)), SILENT),
    "hangs in the body": (place(says(HEAD + b"Content-Length: 9\r\n\r\nO", then_hang=True)), SILENT),
    "drips for ever": (place(drips), SILENT),
    "resets": (place(resets), RESET),
    "ends without a byte": (place(says()), RESET),
    "ends in the headers": (place(says(HEAD)), RESET),
    "ends in the body": (place(says(HEAD + b"Content-Length: 9\r\n\r\nO")), RESET),
    "ends after an interim answer": (place(says(b"HTTP/1.1 100 C\r\n\r\n")), RESET),
    "another protocol": (place(says(b"SSH-2.0-OpenSSH_9.2\r\n", then_hang=True)), GARBAGE),
    "binary": (place(says(bytes(range(256)), then_hang=True)), GARBAGE),
    "headers without an end": (place(says(HEAD, *[LONG] * 20, then_hang=True)), GARBAGE),
    "one header without an end": (place(says(HEAD + b"X: ", b"y" * 200_000, then_hang=True)), GARBAGE),
    "interim answers without an end": (place(says(*[b"HTTP/1.1 100 C\r\n\r\n"] * 9, then_hang=True)), GARBAGE),
    "two lengths that differ": (place(says(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nO")), GARBAGE),
}


@pytest.mark.parametrize("real", [True, False], ids=["real", "fake"])
@pytest.mark.parametrize("case", CASES)
def test_each_behaviour_of_a_service_has_its_result(case: str, real: bool) -> None:
    where, expected = CASES[case]

    async def test() -> None:
        async with where() as port:
            prober: HttpProber
            if real:
                prober = KubeletHttpProber(loopback_allowed=True)
            else:
                prober = FakeProber()
                prober.script("127.0.0.1", port, expected)
            timeout_s = TIMEOUT_S if expected is SILENT else PATIENT_S
            result = await prober.get("http-0", ask(port), address="127.0.0.1", timeout_s=timeout_s)
        assert (result.outcome, result.reason, result.status) == (expected.outcome, expected.reason, expected.status)
        assert result.probe == "http-0"
        assert result.at.tzinfo is UTC
        assert len(result.detail.encode()) <= DETAIL_BYTES_MAX
        assert (result.latency_ms is not None) == (expected.status is not None)

    run(test())


@pytest.mark.parametrize("prober", [KubeletHttpProber(loopback_allowed=True), FakeProber()], ids=["real", "fake"])
def test_a_target_without_an_address_is_unknown(prober: HttpProber) -> None:
    async def test() -> None:
        result = await prober.get("p", ask(80), address=None, timeout_s=PATIENT_S)
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, ProbeReason.NO_ADDRESS)

    run(test())


FORBIDDEN = [
    "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250", "255.255.255.255", "240.0.0.1", "::", "fe80::1", "ff02::1", "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0", "::169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
]  # fmt: skip


@pytest.mark.parametrize("given", ["host", "address"])
@pytest.mark.parametrize("prober", [KubeletHttpProber(loopback_allowed=True), FakeProber()], ids=["real", "fake"])
@pytest.mark.parametrize("target", FORBIDDEN)
def test_addresses_that_only_our_machine_can_reach_are_not_probed(target: str, prober: HttpProber, given: str) -> None:
    async def test() -> None:
        host = {"host": target} if given == "host" else {}
        result = await prober.get("p", ask(80, **host), address=target, timeout_s=PATIENT_S)
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, ProbeReason.ADDRESS_FORBIDDEN)

    run(test())


LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]


@pytest.mark.parametrize("prober", [KubeletHttpProber(loopback_allowed=False), FakeProber(loopback_allowed=False)])
@pytest.mark.parametrize("host", LOOPBACK)
def test_a_manifest_may_name_loopback_only_where_that_was_allowed(host: str, prober: HttpProber) -> None:
    async def test() -> None:
        result = await prober.get("p", ask(1, host=host), address=None, timeout_s=PATIENT_S)
        assert result.reason is ProbeReason.ADDRESS_FORBIDDEN

    run(test())


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.0.0.1", "localhost"])
def test_other_spellings_of_an_address_are_checked_after_they_were_resolved(host: str) -> None:
    async def test() -> None:
        prober = KubeletHttpProber(loopback_allowed=False)
        result = await prober.get("p", ask(1, host=host), address=None, timeout_s=PATIENT_S)
        assert result.reason is ProbeReason.ADDRESS_FORBIDDEN

    run(test())


@pytest.mark.parametrize("text", ["10.0.0.1", "172.17.0.2", "192.168.1.1", "8.8.8.8", "fd12::1", "::ffff:10.0.0.1"])
def test_addresses_of_containers_and_of_the_internet_are_probed(text: str) -> None:
    assert forbidden(ip_address(text), loopback_allowed=False) is None


# What only the real one can show


def probe(serve: Serve, **fields: object) -> ProbeResult:
    async def test() -> ProbeResult:
        async with serving(serve) as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            return await prober.get("p", ask(port, **fields), address="127.0.0.1", timeout_s=PATIENT_S)

    return asyncio.run(test())


def requested(host: str, **fields: object) -> tuple[list[bytes], int]:
    """The lines of the request that a server on `host` gets, and its port."""
    heard: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2])
        writer.write(NO_CONTENT)

    async def test() -> int:
        async with serving(listens, host) as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            result = await prober.get("p", ask(port, **fields), address=host, timeout_s=PATIENT_S)
            assert result.reason is ProbeReason.OK
            return port

    return heard, asyncio.run(test())


def test_the_request_is_the_kubelets() -> None:
    heard, port = requested("127.0.0.1", path="/health?full=1#top")
    assert heard == [
        b"GET /health?full=1 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % port,
        b"User-Agent: pitcrew-probe/0.1.0",
        b"Accept: */*",
        b"Connection: close",
    ]


def test_an_ipv6_address_has_brackets_in_the_host_header() -> None:
    heard, port = requested("::1")
    assert b"Host: [::1]:%d" % port in heard


def test_headers_of_the_manifest_replace_ours_and_cannot_change_the_framing() -> None:
    named = {"host": "shop.example", "User-Agent": "me", "Content-Length": "9", "Connection": "keep-alive", "X-A": "b"}
    heard, _ = requested("127.0.0.1", httpHeaders=[{"name": name, "value": value} for name, value in named.items()])
    assert heard[1:] == [b"Host: shop.example", b"Accept: */*", b"User-Agent: me", b"X-A: b", b"Connection: close"]


def test_a_body_is_echoed_redacted_printable_and_short() -> None:
    body = b"password=hunter2 \x1b[31mred " + b"z" * 9000
    result = probe(says(b"HTTP/1.1 500 Bad\r\nContent-Length: %d\r\n\r\n" % len(body) + body))
    assert result.reason is ProbeReason.STATUS
    assert "hunter2" not in result.detail
    assert "\x1b" not in result.detail
    assert "\\x1b[31mred" in result.detail
    assert result.detail.count("z") < 256


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=expired.invalid", "-days", "1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject, *files],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def https(port: int, timeout_s: float = PATIENT_S) -> ProbeResult:
    prober = KubeletHttpProber(loopback_allowed=True)
    return await prober.get("p", ask(port, scheme="HTTPS"), address="127.0.0.1", timeout_s=timeout_s)


def test_https_is_asked_without_verifying_who_answers(certificate: ssl.SSLContext) -> None:
    async def test() -> None:
        async with serving(says(HEAD + b"Content-Length: 2\r\n\r\nOK"), tls=certificate) as port:
            assert (await https(port)).reason is ProbeReason.OK

    run(test())


async def speaks_plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 plain\r\n\r\n")
    await reader.read(16)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(16)


async def listens_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


@pytest.mark.parametrize(
    ("serve", "reason", "timeout_s"),
    [
        pytest.param(speaks_plain, ProbeReason.MALFORMED, PATIENT_S, id="no TLS there"),
        pytest.param(hangs_up, ProbeReason.RESET, PATIENT_S, id="ends in the handshake"),
        pytest.param(listens_only, ProbeReason.TIMEOUT, TIMEOUT_S, id="silent in the handshake"),
    ],
)
def test_a_failed_handshake_is_the_answer_of_the_service(serve: Serve, reason: ProbeReason, timeout_s: float) -> None:
    async def test() -> None:
        async with serving(serve) as port:
            result = await https(port, timeout_s)
            assert (result.outcome, result.reason) == (Outcome.FAILURE, reason)

    run(test())


def test_a_service_that_speaks_tls_to_a_plain_probe_is_malformed_or_reset(certificate: ssl.SSLContext) -> None:
    async def test() -> None:
        async with serving(says(), tls=certificate) as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            result = await prober.get("p", ask(port), address="127.0.0.1", timeout_s=PATIENT_S)
            assert result.outcome is Outcome.FAILURE
            assert result.reason in (ProbeReason.MALFORMED, ProbeReason.RESET)

    run(test())


def test_a_name_with_a_dead_first_address_is_answered_by_the_next() -> None:
    async def test() -> None:
        async with serving(says(HEAD + b"\r\n"), "127.0.0.1") as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            result = await prober.get("p", ask(port, host="localhost"), address=None, timeout_s=PATIENT_S)
            assert result.reason is ProbeReason.OK

    run(test())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 200])
def test_a_name_that_does_not_resolve_is_unknown(host: str) -> None:
    async def test() -> None:
        prober = KubeletHttpProber(loopback_allowed=True)
        result = await prober.get("p", ask(80, host=host), address=None, timeout_s=PATIENT_S)
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, ProbeReason.NAME_NOT_RESOLVED)

    run(test())


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (errno.ECONNREFUSED, Outcome.FAILURE, ProbeReason.REFUSED),
        (errno.ETIMEDOUT, Outcome.FAILURE, ProbeReason.TIMEOUT),
        (errno.ECONNRESET, Outcome.FAILURE, ProbeReason.RESET),
        (errno.EHOSTUNREACH, Outcome.UNKNOWN, ProbeReason.UNREACHABLE),
        (errno.ENETUNREACH, Outcome.UNKNOWN, ProbeReason.UNREACHABLE),
        (errno.EADDRNOTAVAIL, Outcome.UNKNOWN, ProbeReason.OUR_LIMITS),
        (errno.ENOBUFS, Outcome.UNKNOWN, ProbeReason.OUR_LIMITS),
        (errno.EACCES, Outcome.UNKNOWN, ProbeReason.OUR_LIMITS),
        (errno.EPERM, Outcome.UNKNOWN, ProbeReason.OUR_LIMITS),
        (errno.EMFILE, Outcome.UNKNOWN, ProbeReason.OUR_LIMITS),
        (errno.EIO, Outcome.UNKNOWN, ProbeReason.OUR_LIMITS),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else str(value),
)
def test_each_errno_of_a_connect_has_its_side(code: int, outcome: Outcome, reason: ProbeReason) -> None:
    class Loop(asyncio.SelectorEventLoop):
        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            raise OSError(code, os.strerror(code))

    async def test() -> None:
        prober = KubeletHttpProber(loopback_allowed=True)
        result = await prober.get("p", ask(80), address="127.0.0.1", timeout_s=PATIENT_S)
        assert (result.outcome, result.reason) == (outcome, reason)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(test())


def test_a_loop_of_ours_that_stood_still_says_nothing_about_the_service() -> None:
    async def test() -> None:
        async with serving(says(then_hang=True)) as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            asking = asyncio.create_task(prober.get("p", ask(port), address="127.0.0.1", timeout_s=TIMEOUT_S))
            asyncio.get_running_loop().call_soon(time.sleep, TIMEOUT_S + 1)  # the fault itself: nothing else runs
            result = await asking
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, ProbeReason.OUR_LIMITS)

    run(test())


EXHAUSTED = """
import asyncio, os, resource, socket, sys
from pitcrew.adapters.prober.http import KubeletHttpProber
from pitcrew.core.resource import HttpGet, TcpSocket

async def main():
    prober = KubeletHttpProber(loopback_allowed=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    http_get = HttpGet(port=int(sys.argv[1]))
    first = await prober.get("p", http_get, address="127.0.0.1", timeout_s=20)
    for one in held:
        os.close(one)
    second = await prober.get("p", http_get, address="127.0.0.1", timeout_s=20)
    print(first.outcome, first.reason, second.outcome, second.reason)

asyncio.run(main())
"""


def test_without_descriptors_the_result_is_unknown_and_all_goes_on_when_they_are_back() -> None:
    async def test() -> None:
        async with serving(says(HEAD + b"\r\n")) as port:
            env = {"PYTHONPATH": os.pathsep.join(sys.path)}
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", EXHAUSTED, str(port), env=env, stdout=subprocess.PIPE
            )
            out, _ = await child.communicate()
        assert out.decode().split() == ["Unknown", "OurLimits", "Success", "Ok"]

    run(test())


@pytest.mark.parametrize("case", ["hangs in the body", "drips for ever", "resets", "another protocol", "200"])
def test_no_descriptor_is_left_behind(case: str) -> None:
    async def test() -> None:
        async with CASES[case][0]() as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            result = await prober.get("p", ask(port), address="127.0.0.1", timeout_s=TIMEOUT_S)
            assert result.reason is CASES[case][1].reason
            await closed(port)

    run(test())


def _link(number: str) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{number}")
    return ""


def prober_sockets(port: int) -> list[str]:
    """Open sockets of this process whose peer is the server's port: the client's ends."""
    mine = {_link(number).removeprefix("socket:[").removesuffix("]") for number in os.listdir("/proc/self/fd")}
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[2].endswith(f":{port:04X}") and row[9] in mine and row[9] != "0"]


async def closed(port: int) -> None:
    """Until the client's ends are closed; a transport closes its socket in the next round of the loop."""
    while prober_sockets(port):
        await asyncio.sleep(0)


def test_a_probe_that_is_cancelled_closes_its_connection() -> None:
    async def test() -> None:
        async with serving(says(then_hang=True)) as port:
            prober = KubeletHttpProber(loopback_allowed=True)
            asking = asyncio.create_task(prober.get("p", ask(port), address="127.0.0.1", timeout_s=PATIENT_S))
            while not prober_sockets(port):
                await asyncio.sleep(0)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            await closed(port)

    run(test())


# Connections


@pytest.mark.parametrize("real", [True, False], ids=["real", "fake"])
def test_a_port_that_takes_connections_is_a_success_and_a_closed_one_a_refusal(real: bool) -> None:
    async def test() -> None:
        server = await asyncio.start_server(says(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        fake = FakeProber()
        fake.script("127.0.0.1", port, OK)
        prober: HttpProber = KubeletHttpProber(loopback_allowed=True) if real else fake
        tcp = TcpSocket(port=port)
        taken = await prober.connect("tcp-0", tcp, address="127.0.0.1", timeout_s=PATIENT_S)
        assert (taken.outcome, taken.reason) == (Outcome.SUCCESS, ProbeReason.OK)
        assert taken.latency_ms is not None
        server.close()
        await server.wait_closed()
        fake.script("127.0.0.1", port, fakes.REFUSED)
        refused = await prober.connect("tcp-0", tcp, address="127.0.0.1", timeout_s=PATIENT_S)
        assert (refused.outcome, refused.reason) == (Outcome.FAILURE, ProbeReason.REFUSED)

    run(test())


@pytest.mark.parametrize("prober", [KubeletHttpProber(loopback_allowed=False), FakeProber(loopback_allowed=False)])
def test_a_connection_goes_where_http_may_go_and_without_an_address_nowhere(prober: HttpProber) -> None:
    async def test() -> None:
        for host in ("169.254.169.254", "127.0.0.1", "0.0.0.0"):
            result = await prober.connect("t", TcpSocket(port=1, host=host), address=None, timeout_s=PATIENT_S)
            assert (result.outcome, result.reason) == (Outcome.UNKNOWN, ProbeReason.ADDRESS_FORBIDDEN)
        nowhere = await prober.connect("t", TcpSocket(port=1), address=None, timeout_s=PATIENT_S)
        assert nowhere.reason is ProbeReason.NO_ADDRESS

    run(test())
