"""Arguments and options that several commands share: their words, defaults and completion."""

from pathlib import Path
from typing import Annotated

import typer

from pitcrew.core.errors import InvalidInput
from pitcrew.entrypoints.cli.completion import incident_ids, service_names
from pitcrew.entrypoints.cli.output import Output

State = Annotated[
    Path, typer.Option("--state", envvar="PITCREW_STATE", help="State directory of the operator.", show_default=True)
]
Format = Annotated[Output, typer.Option("--output", "-o", help="Format of the answer.")]
JournalKey = Annotated[
    Path | None,
    typer.Option(
        "--journal-key", envvar="PITCREW_JOURNAL_KEY", help="File with the HMAC key of the journal, mode 0600."
    ),
]
Runbooks = Annotated[
    list[Path] | None,
    typer.Option("--runbooks", metavar="DIR", help="Directory with runbooks of yours; may be repeated."),
]
Manifests = Annotated[
    list[Path],
    typer.Option("--manifests", metavar="PATH", help="Directory or file that declares services; may be repeated."),
]
Tokens = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        metavar="FILE",
        envvar="PITCREW_TOKENS",
        help="File of bearer tokens that callers show; needed to listen beyond loopback.",
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option("--allowed-host", metavar="NAME", help="Name that callers know this server by; may be repeated."),
]
AllowedOrigins = Annotated[
    list[str] | None,
    typer.Option("--allowed-origin", metavar="ORIGIN", help="Page that may ask, https://HOST[:PORT]; may be repeated."),
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate in PEM, with --tls-key; default: no TLS.")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key in PEM, mode 0600.")]
Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="NAME or NAMESPACE/NAME of a service; default: all.", autocompletion=service_names
    ),
]
OneName = Annotated[
    str, typer.Argument(metavar="NAME", help="NAME or NAMESPACE/NAME of a service.", autocompletion=service_names)
]
IncidentId = Annotated[
    str,
    typer.Argument(help="Id of an incident, such as victim-7.", metavar="INCIDENT", autocompletion=incident_ids),
]
STATE = Path(".pitcrew/state")


def there(state: Path) -> Path:
    """A state directory that is there. Raises InvalidInput where it is not."""
    if not state.is_dir():
        raise InvalidInput(f"{state}: no such state directory; name that of an operator with --state or PITCREW_STATE")
    return state
