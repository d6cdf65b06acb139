"""Settings: frozen, each with its unit, default and reason. Flags win over the environment, that over the defaults.

An environment variable is the field's name in capitals behind `PITCREW_`, such as `PITCREW_PERMIT_TTL_S`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pitcrew.core.errors import InvalidInput

PREFIX = "PITCREW_"


class Settings(BaseModel):
    """Everything that can be set, and nothing that a service declares for itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    state: Path = Path(".pitcrew/state")
    """Directory of the journal, the ledgers, the status and the reports; one operator per directory."""
    manifests: tuple[Path, ...] = ()
    """Directories or files of people that declare services; never written."""
    runbooks: tuple[Path, ...] = ()
    """Directories with runbooks of people, beside the built-in ones."""
    lock_dir: Path | None = None
    """Where targets are locked against other operators of this machine; default: `/var/lock/pitcrew`."""
    journal_key: Path | None = None
    """File with a key for an HMAC on every record, mode 0600; default: none, the chain alone."""
    look_interval_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """Seconds between two looks at a runtime; a look costs the engine 1.4 ms, and two seconds go unnoticed by users."""
    engine_deadline_s: Annotated[float, Field(ge=0.5, le=120)] = 5.0
    """Seconds until a call to an engine counts as unanswered; an inspect takes milliseconds, a sick engine minutes."""
    evidence_deadline_s: Annotated[float, Field(ge=0.5, le=60)] = 5.0
    """Seconds that gathering logs may take before evidence goes on without them, and says so."""
    log_lines_max: Annotated[int, Field(ge=10, le=10_000)] = 500
    """Log lines read as evidence; the last ones tell of the failure."""
    log_bytes_max: Annotated[int, Field(ge=1024, le=4 << 20)] = 256 * 1024
    """Log bytes read as evidence; bounds the work of redaction."""
    permit_ttl_s: Annotated[int, Field(ge=2, le=300)] = 30
    """Seconds a permit is valid; enough for a look and a slow engine, too short to be found lying around."""
    actions_everywhere_max: Annotated[int, Field(ge=1, le=1000)] = 20
    """Actions on all services together in one hour; more is a disaster of its own, and a person's business."""
    acting_at_once_max: Annotated[int, Field(ge=1, le=64)] = 2
    """Services acted on at the same moment; a mistake then reaches two, not all."""
    storm_services_min: Annotated[int, Field(ge=2, le=1000)] = 3
    """Services that have to begin deviating at once, and half of all declared ones, to count as one storm, in which
    nothing is acted on; two may share a fault by chance."""
    storm_window_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """Seconds within which these services begin to deviate; slow probes see the same failure half a minute apart."""
    own_user_may_approve: bool = False
    """Whether the user PitCrew runs as may approve plans below High; default no, since that user proposes them too."""
    admins: tuple[str, ...] = ()
    """Users, and groups as `@group`, that may give orders beside root and PitCrew's own user. Whoever may approve a
    service may stop PitCrew as well."""
    proposers: tuple[str, ...] = ()
    """Users, and groups as `@group`, whose assistants may propose a diagnosis, beside root, PitCrew's own user and the
    admins; a wrong one costs people's time, so that not everybody may."""
    model: str = ""
    """Model that gives a second opinion on incidents, by the name its endpoint knows; empty: rules only. The endpoint
    is OPENAI_BASE_URL, its key OPENAI_API_KEY."""
    model_patience_s: Annotated[int, Field(ge=0, le=120)] = 10
    """Seconds that planning waits for the model; people wait for the service meanwhile, and rules know most faults."""
    model_deadline_s: Annotated[float, Field(ge=0.1, le=600)] = 60.0
    """Seconds until the model's endpoint counts as unanswering; small models on a CPU need most of a minute."""
    model_evidence_tokens_max: Annotated[int, Field(ge=200, le=100_000)] = 1_500
    """Tokens of evidence in one question, estimated from above; small models have windows of 4,096 for everything."""
    model_answer_tokens_max: Annotated[int, Field(ge=64, le=32_768)] = 600
    """Tokens of one answer; the object asked for has about 150. Models that think aloud need some thousands."""
    model_tokens_per_incident_max: Annotated[int, Field(ge=0, le=10_000_000)] = 30_000
    """Tokens that asking may cost in one incident; a question has at most 7,000, and as many where its answer cannot be
    used and it is asked again; new evidence asks anew."""
    model_tokens_per_hour_max: Annotated[int, Field(ge=0, le=1_000_000_000)] = 200_000
    """Tokens that asking may cost in one hour on all services; some thirty questions, more than a bad hour needs."""
    model_tokens_per_day_max: Annotated[int, Field(ge=0, le=1_000_000_000)] = 500_000
    """Tokens that asking may cost in 24 hours on all services; a bound on the bill, and on what a bad day sends out."""
    model_price_in_per_million: Annotated[int, Field(ge=0, le=10_000_000_000)] = 0
    """Microdollars that a million tokens of prompts cost: 150000 for 0.15 dollars; default: money is not counted."""
    model_price_out_per_million: Annotated[int, Field(ge=0, le=10_000_000_000)] = 0
    """Microdollars that a million tokens of answers cost; default: money is not counted."""
    model_money_per_incident_max: Annotated[int, Field(ge=0, le=10**15)] = 500_000
    """Microdollars that asking may cost in one incident; half a dollar, far below what an outage costs."""
    model_money_per_hour_max: Annotated[int, Field(ge=0, le=10**15)] = 2_000_000
    """Microdollars that asking may cost in one hour on all services."""
    model_money_per_day_max: Annotated[int, Field(ge=0, le=10**15)] = 10_000_000
    """Microdollars that asking may cost in 24 hours on all services; ten dollars, a bill nobody is woken for."""
    model_transcripts_days: Annotated[int, Field(ge=0, le=3_650)] = 14
    """Days that prompts and answers are kept in `STATE/model`, redacted, for `pitcrew why --prompt`; two weeks outlast
    most postmortems. 0 keeps none."""
    allowed_signers: Path | None = None
    """File that says whose SSH keys sign decisions, as git uses it; only root or PitCrew's user may be able to write
    it; default: none, and no signature counts."""
    approvals_signed: bool = False
    """Whether only signed decisions are taken. It is a setting and not part of a policy, since who declares a service
    must not be able to loosen how people prove who they are; default: the kernel's word will do on one machine."""
    heartbeat_s: Annotated[int, Field(ge=1, le=3600)] = 30
    """Seconds after which an unchanged status is written again, so that its age tells whether PitCrew lives."""
    webhook: Annotated[str, Field(max_length=2000)] | None = None
    """http or https address that is told of incidents that opened, wait for a person, or ended; default: nobody is."""
    webhook_key: Path | None = None
    """File with a key of at least 32 bytes, mode 0600, that signs what the webhook is sent; default: not signed."""
    heartbeat_url: Annotated[str, Field(max_length=2000)] | None = None
    """http or https address that is asked with GET while PitCrew can work; its silence should wake somebody."""
    heartbeat_url_interval_s: Annotated[int, Field(ge=5, le=86_400)] = 60
    """Seconds between two beats to `heartbeat_url`; dead man's switches usually wait for some minutes."""
    head_every_records: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Records after which the journal's head leaves the host anew; an incident has some twenty, so that what an
    intruder could rewrite unseen is the last two or three. It also leaves at start and at end."""
    head_syslog: Annotated[str, Field(max_length=300)] | None = None
    """Where heads go as RFC 5424 messages: the path of a Unix datagram socket such as `/dev/log`, `udp://HOST:PORT` or
    `tcp://HOST:PORT`; default: nowhere."""
    head_webhook: Annotated[str, Field(max_length=2000)] | None = None
    """http or https address that heads are posted to, signed with `webhook_key` if there is one; default: nowhere."""
    head_file: Path | None = None
    """File that heads are appended to. It must be there, and should belong to another user; default: none."""
    metrics_addr: Annotated[str, Field(max_length=100)] | None = None
    """HOST:PORT that shows metrics to Prometheus; without a host on loopback only, and beyond it only with `tokens`;
    default: nowhere."""
    tokens: Path | None = None
    """File of the hashes of bearer tokens, made by `pitcrew tokens add`, mode 0600, or 0640 where root owns it. With it
    every listener asks for a token; default: none, and nothing listens beyond loopback."""
    official_url: Annotated[str, Field(max_length=2000)] = ""
    """Address of the Official where it is a process of its own, such as http://127.0.0.1:7302; empty: it is in this
    one, with its key."""
    official_token_file: Path | None = None
    """File with a token of the role driver for the Official, mode 0600."""
    mechanics: Annotated[str, Field(max_length=4000)] = ""
    """Mechanics in processes of their own, as `NAME=URL`, with commas between several; `target.docker.host` chooses by
    name, and a target that names none is served by `default`. Empty: the Mechanic is in this process."""
    mechanic_token_file: Path | None = None
    """File with a token of the role driver for the Mechanics, mode 0600; default: none, which does on loopback where
    they have no token file either."""


def load(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force: flags that were given, over the environment, over the defaults.

    Raises:
        InvalidInput: a value cannot be used; names the setting, the fact and what is allowed.
    """
    chosen: dict[str, object] = {}
    for name, field in Settings.model_fields.items():
        text = environ.get(PREFIX + name.upper())
        if text is not None:
            chosen[name] = text.split(os.pathsep) if "tuple" in str(field.annotation) else text
    chosen |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise InvalidInput(f"setting {name} (environment {PREFIX}{name.upper()}): {first['msg']}") from None


def mechanics_of(settings: Settings) -> Mapping[str, str]:
    """The addresses of the Mechanics by name; none where all roles share this process.

    Raises:
        InvalidInput: a part is no NAME=URL, a name comes twice, or only one of Official and Mechanics is named.
    """
    found: dict[str, str] = {}
    for part in filter(None, settings.mechanics.split(",")):
        name, _, url = part.strip().partition("=")
        if not url or name in found:
            raise InvalidInput(
                f"setting mechanics: {part!r}: give each Mechanic once, as default=http://127.0.0.1:7301"
            )
        found[name] = url
    if bool(found) != bool(settings.official_url):
        missing = "official_url" if found else "mechanics"
        raise InvalidInput(f"setting {missing}: Official and Mechanics are processes of their own together; name both")
    return found
