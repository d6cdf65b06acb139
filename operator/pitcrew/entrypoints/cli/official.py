"""The Official as a command of its own."""

from pathlib import Path
from typing import Annotated

import typer

from pitcrew.entrypoints.cli.options import (
    STATE,
    AllowedHosts,
    AllowedOrigins,
    Manifests,
    State,
    TlsCert,
    TlsKey,
    Tokens,
)

LISTEN = "127.0.0.1:7302"

Listen = Annotated[
    str,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        envvar="PITCREW_OFFICIAL_LISTEN",
        help="Where to listen; beyond loopback only with --tokens.",
    ),
]
Mechanics = Annotated[
    list[str] | None,
    typer.Option("--mechanic", metavar="ID=FILE", help="Public keys of a Mechanic, in PEM; may be repeated."),
]
Signers = Annotated[
    Path | None,
    typer.Option(
        "--allowed-signers",
        metavar="FILE",
        envvar="PITCREW_ALLOWED_SIGNERS",
        help="Whose SSH keys sign decisions, as git uses it.",
    ),
]


def official(
    manifests: Manifests,
    state: State = STATE,
    listen: Listen = LISTEN,
    mechanic: Mechanics = None,
    tokens: Tokens = None,
    allowed_signers: Signers = None,
    allowed_host: AllowedHosts = None,
    allowed_origin: AllowedOrigins = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Judge, ask people and permit, as a process of its own over HTTP, until SIGTERM or SIGINT. It acts on nothing."""
    import asyncio

    from pitcrew.adapters.incoming import Address
    from pitcrew.entrypoints.cli.output import say
    from pitcrew.entrypoints.logs import configure_logging
    from pitcrew.entrypoints.servers.official import ACCESS, official_app
    from pitcrew.entrypoints.servers.officiating import named_files, opened
    from pitcrew.entrypoints.servers.serving import Listen as ListenAt
    from pitcrew.entrypoints.servers.serving import serve
    from pitcrew.settings import load

    given: dict[str, object] = {"state": state, "manifests": tuple(manifests), "allowed_signers": allowed_signers}
    configure_logging("text")
    office = opened(load(given), named_files(mechanic or (), "--mechanic"))
    at = ListenAt(
        address=listen,
        tokens=tokens,
        hosts=tuple(allowed_host or ()),
        origins=tuple(allowed_origin or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
    )

    def ready(address: Address) -> None:
        say(f"the Official listens on {address}", error=True)

    asyncio.run(serve(official_app(office), at, ACCESS, ready=ready, now=lambda: office.official.now().at))
