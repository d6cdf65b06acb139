"""The commands: their words, options and exit codes. What each does stands in the modules beside this one."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pitcrew.core.errors import InvalidInput, PitCrewError, Refused
from pitcrew.entrypoints.cli.auditing import audit_app
from pitcrew.entrypoints.cli.codes import BAD_NEWS, EXIT_CODES, GOOD, INPUT_INVALID, UNREADABLE
from pitcrew.entrypoints.cli.completion import Shell, complete_if_asked
from pitcrew.entrypoints.cli.deciding import Reason, TokenFile, Yes, approve, deny, question
from pitcrew.entrypoints.cli.evals import eval_app
from pitcrew.entrypoints.cli.keys import keys_app
from pitcrew.entrypoints.cli.official import official
from pitcrew.entrypoints.cli.options import (
    STATE,
    AllowedHosts,
    AllowedOrigins,
    Format,
    IncidentId,
    JournalKey,
    Manifests,
    Name,
    OneName,
    Runbooks,
    State,
    TlsCert,
    TlsKey,
    Tokens,
    there,
)
from pitcrew.entrypoints.cli.output import Output, say, shown
from pitcrew.entrypoints.cli.quick import quick
from pitcrew.entrypoints.cli.runbooks import runbooks_app
from pitcrew.entrypoints.cli.tokens import tokens_app

EPILOG = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

app = typer.Typer(
    name="pitcrew",
    help="PitCrew keeps declared services healthy, under governance.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(audit_app, name="audit")
app.add_typer(runbooks_app, name="runbooks")
app.add_typer(eval_app, name="eval")
app.add_typer(tokens_app, name="tokens")
app.add_typer(keys_app, name="keys")
app.command()(official)
for deciding in (question, approve, deny):
    app.command()(deciding)


class LogFormat(StrEnum):
    """Format of the operator's log."""

    TEXT = "text"
    JSON = "json"


@app.command()
def run(
    manifests: Manifests,
    state: State = STATE,
    runbooks: Runbooks = None,
    journal_key: JournalKey = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Format of the log on stderr.")
    ] = LogFormat.TEXT,
    metrics_addr: Annotated[
        str | None,
        typer.Option(
            "--metrics-addr",
            metavar="HOST:PORT",
            envvar="PITCREW_METRICS_ADDR",
            help="Show metrics to Prometheus there; without a host on loopback. Default: nowhere.",
        ),
    ] = None,
    tokens: Tokens = None,
    official_url: Annotated[
        str | None,
        typer.Option(
            "--official-url",
            metavar="URL",
            envvar="PITCREW_OFFICIAL_URL",
            help="The Official, where it is a process of its own. Default: in this one.",
        ),
    ] = None,
    official_token_file: Annotated[
        Path | None,
        typer.Option(
            "--official-token-file",
            metavar="FILE",
            envvar="PITCREW_OFFICIAL_TOKEN_FILE",
            help="File with a token of the role driver for the Official.",
        ),
    ] = None,
    mechanics: Annotated[
        list[str] | None,
        typer.Option(
            "--mechanic",
            metavar="NAME=URL",
            help="A Mechanic of its own, such as default=http://127.0.0.1:7301; may be repeated.",
        ),
    ] = None,
    mechanic_token_file: Annotated[
        Path | None,
        typer.Option(
            "--mechanic-token-file",
            metavar="FILE",
            envvar="PITCREW_MECHANIC_TOKEN_FILE",
            help="File with a token of the role driver for the Mechanics.",
        ),
    ] = None,
) -> None:
    """Keep the declared services healthy, until SIGTERM or SIGINT."""
    from pitcrew.entrypoints.embedded import main as serve
    from pitcrew.settings import load

    given: dict[str, object] = {
        "state": state,
        "manifests": tuple(manifests),
        "runbooks": tuple(runbooks) if runbooks else None,
        "journal_key": journal_key,
        "metrics_addr": metrics_addr,
        "tokens": tokens,
        "official_url": official_url,
        "official_token_file": official_token_file,
        "mechanics": ",".join(mechanics) if mechanics else None,
        "mechanic_token_file": mechanic_token_file,
    }
    raise typer.Exit(serve(load(given), log_format=log_format.value))


@app.command()
def mechanic(
    manifests: Manifests,
    state: State = STATE,
    id: Annotated[
        str, typer.Option("--id", envvar="PITCREW_ID", help="Name that targets and permits have for this Mechanic.")
    ] = "default",
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", envvar="PITCREW_LISTEN", help="Where to listen for MCP.")
    ] = "127.0.0.1:7301",
    official_keys: Annotated[
        Path | None,
        typer.Option(
            "--official-keys",
            metavar="FILE",
            envvar="PITCREW_OFFICIAL_KEYS",
            help="The Official's public keys in PEM, one or two. Default: none, so that no permit counts.",
        ),
    ] = None,
    tokens: Tokens = None,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Speak MCP over standard input and output instead of listening.")
    ] = False,
    allowed_host: AllowedHosts = None,
    allowed_origin: AllowedOrigins = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Format of the log on stderr.")
    ] = LogFormat.TEXT,
) -> None:
    """Serve the targets of this machine over MCP: reading, and acting with a permit only. Needs pitcrew[servers]."""
    from pitcrew.entrypoints.cli.mechanic import Asked, serve
    from pitcrew.entrypoints.servers.serving import Listen
    from pitcrew.settings import load

    where = Listen(
        address=listen,
        tokens=tokens,
        hosts=tuple(allowed_host or ()),
        origins=tuple(allowed_origin or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    serve(
        Asked(
            settings=load({"state": state, "manifests": tuple(manifests)}),
            id=id,
            official_keys=official_keys,
            listen=None if stdio else where,
            log_format=log_format.value,
        )
    )


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Manifests, or directories of them.")],
) -> None:
    """Check manifests: every problem as FILE:LINE:COLUMN: FIELD: what is wrong, what is allowed."""
    from pitcrew.adapters.manifests.load import load
    from pitcrew.adapters.policy.cel import check_rules
    from pitcrew.core.dependency import graph_of, remarks

    loaded = load(files, extra_checks=check_rules)
    for problem in loaded.problems:
        say(shown(problem))
    if loaded.problems:
        raise typer.Exit(INPUT_INVALID)
    if not loaded.services and not loaded.policies:
        say("nothing is declared there; a manifest has kind: HealthyService or RemediationPolicy", error=True)
        raise typer.Exit(INPUT_INVALID)
    for key, declared in loaded.services.items():
        say(f"{shown(declared.file)}:{declared.line}: {shown(key)} is valid")
    for name, policy in loaded.policies.items():
        say(f"{shown(policy.file)}:{policy.line}: policy {shown(name)} is valid")
    for remark in remarks(graph_of(declared.service for declared in loaded.services.values())):
        say(f"note: {shown(remark)}", error=True)


@app.command()
def get(
    name: Name = None,
    state: State = STATE,
    output: Format = Output.TABLE,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on with each service that changes, until Ctrl-C.")
    ] = False,
) -> None:
    """Show services, one line each; with -o yaml the resource with its status."""
    if watch:
        from pitcrew.entrypoints.cli.watch import follow

        follow(there(state) / "status", name, output)
        return
    from pitcrew.adapters.status.text import read_status
    from pitcrew.entrypoints.cli.names import chosen
    from pitcrew.entrypoints.cli.services import show_services

    found = chosen(read_status(there(state) / "status"), name)
    show_services(found, output, _now(), one=name is not None)


@app.command()
def events(name: Name = None, state: State = STATE, output: Format = Output.TABLE) -> None:
    """Show the last events, oldest first."""
    from pitcrew.adapters.status.text import read_status
    from pitcrew.entrypoints.cli.names import chosen
    from pitcrew.entrypoints.cli.services import show_events

    show_events(chosen(read_status(there(state) / "status"), name), output)


@app.command()
def status(name: OneName, state: State = STATE, output: Format = Output.TABLE) -> None:
    """Show one service in full: conditions, probes, incident. Exit code 1 when it is unhealthy."""
    from pitcrew.adapters.status.text import read_status
    from pitcrew.entrypoints.cli.names import chosen
    from pitcrew.entrypoints.cli.output import mapping
    from pitcrew.entrypoints.cli.services import show_status

    (found,) = chosen(read_status(there(state) / "status"), name)
    show_status(found, output, _now())
    if mapping(found.get("status")).get("health") == "Unhealthy":
        raise typer.Exit(BAD_NEWS)


@app.command()
def incidents(name: Name = None, state: State = STATE, output: Format = Output.TABLE) -> None:
    """Show incidents, oldest first, as the journal tells them."""
    from pitcrew.entrypoints.cli.history import show_incidents

    show_incidents(there(state), name, output)


@app.command()
def why(
    incident: IncidentId,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Show what models were sent and answered, word for word, and its cost.")
    ] = False,
    ledger: Annotated[
        list[Path] | None,
        typer.Option("--ledger", metavar="FILE", help="Ledger of an Official or Mechanic elsewhere; may be repeated."),
    ] = None,
    state: State = STATE,
    output: Format = Output.TABLE,
) -> None:
    """Show why PitCrew did what it did: evidence, diagnosis, runbook, risk, rules, permit, effect, verification."""
    from pitcrew.entrypoints.cli.history import show_prompts, show_why

    if prompt:
        show_prompts(there(state), incident, output)
    else:
        show_why(there(state), incident, tuple(ledger or ()), output)


@app.command()
def ask(
    incident: IncidentId,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know, in a sentence.")],
    manifests: Annotated[
        list[Path] | None,
        typer.Option("--manifests", metavar="PATH", help="Where the service is declared; default: as in the status."),
    ] = None,
    state: State = STATE,
    output: Format = Output.TABLE,
) -> None:
    """Ask the configured model about one incident, out of its record. It may be wrong, and changes nothing."""
    from pitcrew.entrypoints.cli.enquiry import answer

    answer(there(state), incident, question, tuple(manifests or ()), output)


@app.command()
def report(incident: IncidentId, state: State = STATE) -> None:
    """Print the postmortem of an incident as Markdown."""
    from pitcrew.entrypoints.cli.history import show_report

    show_report(there(state), incident)


@app.command()
def stop(
    reason: Reason = "no reason given",
    mechanic: Annotated[
        str | None,
        typer.Option(
            "--mechanic",
            metavar="URL",
            help="Stop this Mechanic itself, also with Driver and Official down.",
        ),
    ] = None,
    token_file: TokenFile = None,
    state: State = STATE,
) -> None:
    """Stop every effect at once, permits that were given included; what runs is verified, and nothing new begins."""
    if mechanic is not None:
        from pitcrew.entrypoints.cli.mechanics import stop_at

        stop_at(mechanic, token_file, reason)
        return
    from pitcrew.entrypoints.cli.orders import order

    order(there(state), {"do": "stop", "reason": reason})


@app.command()
def go(reason: Reason = "no reason given", state: State = STATE) -> None:
    """Take a stop back."""
    from pitcrew.entrypoints.cli.orders import order

    order(there(state), {"do": "go", "reason": reason})


@app.command()
def suspend(
    name: OneName,
    reason: Reason,
    for_: Annotated[
        str | None, typer.Option("--for", help="How long: 90s, 10m, 8h, 2d; default: until resumed.")
    ] = None,
    state: State = STATE,
) -> None:
    """Hold all effects on one service; it is still seen, diagnosed and told."""
    from pitcrew.entrypoints.cli.orders import order, seconds

    order(there(state), {"do": "suspend", "service": name, "reason": reason, "for_s": seconds(for_)})


@app.command()
def resume(name: OneName, reason: Reason = "no reason given", state: State = STATE) -> None:
    """Take a suspension back; one that is declared in `spec.suspend` stays."""
    from pitcrew.entrypoints.cli.orders import order

    order(there(state), {"do": "resume", "service": name, "reason": reason})


@app.command()
def reconcile(name: OneName, state: State = STATE) -> None:
    """Have one service looked at now, with every probe."""
    from pitcrew.entrypoints.cli.orders import order

    order(there(state), {"do": "reconcile", "service": name, "reason": "asked for a look"})


@app.command("apply")
def apply_(
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="One manifest.")],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="Which of the operator's directories, if it has several."),
    ] = None,
    yes: Yes = False,
    state: State = STATE,
) -> None:
    """Check a manifest, show what it changes, and install it where the operator reads manifests."""
    from pitcrew.entrypoints.cli.apply import install

    if not install(there(state), file, into, yes=yes):
        raise typer.Exit(BAD_NEWS)


@app.command()
def plan(
    name: OneName,
    state: State = STATE,
    manifests: Annotated[
        list[Path] | None,
        typer.Option("--manifests", metavar="PATH", help="Where it is declared; default: as in the status."),
    ] = None,
    runbooks: Runbooks = None,
    output: Format = Output.TABLE,
) -> None:
    """Show what would be done about a service now: plan, undo, risk, every ruling. Acts on nothing, writes nothing."""
    from pitcrew.entrypoints.cli.plan import show_plan

    show_plan(state, name, tuple(manifests or ()), tuple(runbooks or ()), output)


@app.command()
def mcp(state: State = STATE, runbooks: Runbooks = None) -> None:
    """Serve the state directory to an assistant over MCP, on stdin and stdout: read-only tools, and one to propose."""
    from pitcrew.entrypoints.cli.assistants.server import serve
    from pitcrew.entrypoints.cli.strategist import loaded

    serve(there(state), loaded(runbooks))


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is completed for.")]) -> None:
    """Print the script for shell completion; such as: eval "$(pitcrew completion bash)"."""
    from pitcrew.entrypoints.cli.completion import script

    say(script(shell))


@app.command()
def doctor(
    state: State = STATE,
    manifests: Annotated[
        list[Path] | None,
        typer.Option("--manifests", metavar="PATH", help="Manifests to check; default: those in the status."),
    ] = None,
    runbooks: Runbooks = None,
    journal_key: JournalKey = None,
    output: Format = Output.TABLE,
) -> None:
    """Show each guard as armed or not, by looking. Exit code 1 when one that should be is not."""
    from pitcrew.entrypoints.cli.doctor import Patient, examine
    from pitcrew.entrypoints.cli.guards import show_guards

    patient = Patient(
        state=state, manifests=tuple(manifests or ()), runbooks=tuple(runbooks or ()), journal_key=journal_key
    )
    if not show_guards(examine(patient), output):
        raise typer.Exit(BAD_NEWS)


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """The command as installed; ends the process with a documented exit code."""
    complete_if_asked()
    sys.exit(guarded(quick(app)))


def guarded(command: Callable[[], object]) -> int:
    """Run a command; what PitCrew raises on purpose becomes one line on stderr and an exit code."""
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else GOOD
    except InvalidInput as error:
        _complain(error)
        return INPUT_INVALID
    except Refused as error:
        _complain(error)
        return BAD_NEWS
    except BrokenPipeError:
        sys.stderr.close()
        return GOOD
    except (PitCrewError, OSError) as error:
        _complain(error)
        return UNREADABLE
    return GOOD


def _complain(error: Exception) -> None:
    for line in str(error).splitlines() or [type(error).__name__]:
        say(f"pitcrew: {shown(line)}", error=True)
