"""What somebody else wrote is bounded, redacted and escaped; what is no secret stays readable."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pitcrew.core.untrusted import bound, clean, decode, markdown, markdown_block, printable, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY[::-1]}\nMzEfYyjiWA4=\n-----END PRIVATE KEY-----"
PREFIX = "2026-01-02T03:04:05.678Z app | "

SECRETS = [
    ("aws key", "using AKIAIOSFODNN7EXAMPLE now", "AKIAIOSFODNN7EXAMPLE"),
    ("aws secret", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
    ("github", "push with ghp_16C7e42F292c6912E7710c838347Ae178B4a failed", "ghp_16C7e42F"),
    ("our own", "sent pitcrew_JSBru3y_oLbYw7YJkw4JV_798gR97VapPdQ-3903JdM along", "JSBru3y_oLbYw7YJ"),
    ("github fine-grained", "github_pat_11ABCDEFG0abcdefghijkl_MNOPQRSTUVWXYZ", "MNOPQRST"),
    ("gitlab", "glpat-ABCdef123456_789-xyz0", "ABCdef"),
    ("slack", "xoxb-123456789012-abcdefABCDEF", "123456789012"),
    ("slack hook", "POST https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX", "B00000000"),
    ("google", "key AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY used", "SyD-9tSrke72"),
    ("openai", "OpenAI said: bad key sk-proj-abcdefghijklmnopqrstuvwxyz012345", "abcdefghij"),
    ("anthropic", "sk-ant-api03-abcdefghijklmnopqrstuvwx-AA", "abcdefghij"),
    ("stripe", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39Hq"),
    ("jwt", f"cookie-less {JWT} here", "eyJzdWIi"),
    ("url password", "dial postgres://app:s3cr3t@db:5432/x?sslmode=off", "s3cr3t"),
    ("url password with at", "amqp://app:s3@cr3t@mq:5672/", "cr3t"),
    ("url without user", "redis://:hunter2@cache:6379/0", "hunter2"),
    ("url password with slash", "mongodb+srv://app:s3/cr3t@h/db", "cr3t"),
    ("list", '"password": ["hunter2"]', "hunter2"),
    ("sshpass", "sshpass -p hunter2 ssh db", "hunter2"),
    ("mysql", "mysql -u root -phunter2 app", "hunter2"),
    ("passphrase", 'passphrase "open sesame"', "sesame"),
    ("url token", "https://0123456789abcdef0123456789abcdef@git.example/x", "0123456789abcdef0"),
    ("query", "GET /x?access_token=abc123def&page=2", "abc123def"),
    ("colon", "password: hunter2", "hunter2"),
    ("colon, capital", "Password: Hunter2!", "Hunter2"),
    ("equals", "passwd=hunter2 user=bob", "hunter2"),
    ("pwd", "Server=db;Uid=sa;Pwd=hunter2;", "hunter2"),
    ("quoted with spaces", 'secret="correct horse battery"', "horse"),
    ("quoted, unclosed", 'secret="correct horse batt', "horse"),
    ("single quoted", "client_secret: 'it is hunter2'", "hunter2"),
    ("json", '{"api_key": "hunter2", "n": 1}', "hunter2"),
    ("json, escaped quote", r'{"password": "hun\"ter2", "n": 1}', "ter2"),
    ("json in json", r'{"body": "{\"password\": \"hunter2\"}"}', "hunter2"),
    ("camel case", "dbPassword=hunter2", "hunter2"),
    ("env", "POSTGRES_PASSWORD=hunter2", "hunter2"),
    ("env, suffixed", "DB_PASSWORD_1=hunter2", "hunter2"),
    ("env pass", "SMTP_PASS=hunter2", "hunter2"),
    ("go", "token := hunter2", "hunter2"),
    ("ruby", ":password => 'hunter2'", "hunter2"),
    ("option", "mysql --password hunter2 -h db", "hunter2"),
    ("option with equals", "mysql --password=hunter2 -h db", "hunter2"),
    ("long option", "app --db-api-key hunter2", "hunter2"),
    ("argv", "['mysql', '--password', 'hunter2']", "hunter2"),
    ("argv json", '["mysql","--password","hunter2"]', "hunter2"),
    ("curl", "curl -u admin:hunter2 http://x/", "hunter2"),
    ("sql", "ALTER USER app PASSWORD 'hunter2'", "hunter2"),
    ("sql, identified by", "IDENTIFIED BY 'hunter2'", "hunter2"),
    ("xml", "<db-password>hunter2</db-password>", "hunter2"),
    ("coloured", "\x1b[36mpassword\x1b[0m=\x1b[33mhunter2\x1b[0m", "hunter2"),
    ("next line", "password:\n  hunter2", "hunter2"),
    ("next line, unindented", "password:\nhunter2\nok", "hunter2"),
    ("next line, folded", "password: >-\n    hunter2\nnext: 1", "hunter2"),
    ("next line, continued", "export PASSWORD=\\\n  hunter2", "hunter2"),
    ("high entropy key", "STORAGE_KEY=9f8Q2mZx7LpV4tKcR1sWyB6nJdH3gTfA", "9f8Q2mZx"),
    ("bearer header", f"Authorization: Bearer {'a' * 12}1\nAccept: */*", "aaaaaaaaaaaa"),
    ("basic header", "authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjp"),
    ("header, continued", "Authorization:\n  Bearer abc.def.ghi", "abc.def"),
    ("header, folded", "Authorization: Digest username=bob,\n  response=6629fae49393a0\nAccept: x", "6629fae"),
    ("header in json", '{"Authorization": "Token hunter2"}', "hunter2"),
    ("bare bearer", "sent Bearer 0a1b2c3d4e5f", "0a1b2c3d"),
    ("bare basic", "sent Basic dXNlcjpodW50ZXIy", "dXNlcjp"),
    ("x-api-key", "X-Api-Key: hunter2", "hunter2"),
    ("cookie", "Cookie: sid=hunter2; theme=dark", "hunter2"),
    ("set-cookie", "Set-Cookie: sid=hunter2; Path=/; HttpOnly", "hunter2"),
    ("pem", f"before\n{PEM}\nafter", BODY[:20]),
    ("pem, short last line", PEM, "MzEfYyji"),
    ("pem, other kind", PEM.replace("PRIVATE", "RSA PRIVATE"), BODY[:20]),
    ("pem without end", PEM.rsplit("\n", 1)[0] + "\nserver started", "MzEfYyji"),
    ("pem cut in its line", PEM[:80], BODY[:20]),
    ("pem without beginning", PEM.split("\n", 1)[1], BODY[:20]),
    ("pem in a log", "\n".join(PREFIX + line for line in PEM.split("\n")), BODY[:20]),
    ("pem in a log, without end", "\n".join(PREFIX + line for line in PEM.split("\n")[:-1]), "MzEfYyji"),
    ("pem on one line", PEM.replace("\n", "\\n"), BODY[:20]),
    ("pem on one line, cut", 'key: "' + PEM.replace("\n", "\\n")[:120], BODY[:20]),
]

ORDINARY = [
    "password reset page served",
    "GET /password/reset 200 12ms",
    "the token expired, asking for a new one",
    "basic authentication required; bearer authentication failed",
    "commit 5da77c4f0a1b2c3d4e5f60718293a4b5c6d7e8f9 by bob",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "container 4f5e6d7c8b9a started, id f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "cache key=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b miss",
    "/var/lib/docker/overlay2/9f86d081884c7d659a2feaa0c55ad015/merged",
    "password_file=/run/secrets/db",
    "secretName: victim-tls",
    "max_tokens=4096 prompt_tokens: 512 token_count=7",
    "tokenizer: bpe, secretary: Bob, passengers: 4",
    'password: null, "token": false, secret=""',
    "SyntaxError: Unexpected token } in JSON at position 3",
    "http://victim:8080/health?email=a@b.example",
    "connect to https://example.org:8443/x failed",
    "user bob@example.org logged in",
    "idempotency-key: f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "mysql -u root -h db -P 3306",
    "http://victim:8080?to=a@b.example",
    "key: value; keyboard: us; monkey=george",
    "task-management-of-the-long-running-kind-2 done",
    "-----BEGIN CERTIFICATE-----",
    "2026-01-02 03:04:05 ERROR worker.py:12 SERVICE UNHEALTHY (exit 137)",
    "passwords:\n  3 users must change theirs",
    "password:\n  type: string\n  description: of the database",
]


@pytest.mark.parametrize(("text", "secret"), [row[1:] for row in SECRETS], ids=[row[0] for row in SECRETS])
def test_a_secret_is_redacted(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert "[redacted:" in redact(text)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_readable(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('{"api_key": "hunter2", "n": 1}', '{"api_key": "[redacted:api-key]", "n": 1}'),
        ("postgres://app:s3cr3t@db:5432/x", "postgres://app:[redacted:url-password]@db:5432/x"),
        ("passwd=hunter2 user=bob", "passwd=[redacted:password] user=bob"),
        (f"before\n{PEM}\nafter", "before\n[redacted:private-key]\nafter"),
        ("Authorization: Bearer abcdefgh1\nAccept: */*", "Authorization: [redacted:authorization]\nAccept: */*"),
        ("password:\n  hunter2\nuser: bob", "password:\n  [redacted:password]\nuser: bob"),
        ("(token: hunter2)", "(token: [redacted:token])"),
    ],
)
def test_what_stands_beside_a_secret_is_kept(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_the_log_lines_around_a_cut_key_are_kept() -> None:
    cut = "\n".join([PREFIX + line for line in PEM.split("\n")[:-2]])
    assert redact(f"{PREFIX}start\n{cut}\n{PREFIX}server started on port 80") == (
        f"{PREFIX}start\n{PREFIX}[redacted:private-key]\n{PREFIX}server started on port 80"
    )


PIECES = st.sampled_from(
    [
        *("password", "token", "api_key", "--password", "-u ", "Bearer ", "Cookie: ", "a=b", "Authorization"),
        *(":", "=", " ", "\n", '"', "'", "\\", ",", ">", "</", "|", "]", "://", "@", "\x1b[0m"),
        *("[redacted:", "[redacted:password]", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
        *(BODY, JWT, "AKIAIOSFODNN7EXAMPLE", "hunter2", "x" * 30, "4f5e6d7c8b9a0z" * 2),
    ]
)


@settings(max_examples=400, deadline=None, print_blob=True)
@given(st.lists(PIECES | st.text(max_size=3), max_size=14).map("".join))
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


REPEATED = [
    *(
        "a",
        "-",
        " ",
        "\n",
        "\\",
        "\\n",
        "\x1b[",
        "\x1b[0m",
        "--",
        "--a-",
        "a_",
        "@",
        "://",
        "://a:",
        "mysql ",
        "A" * 64 + "\n",
    ),
    *("password", "password:", "password: \\\n", 'password="', "key=", "<token>", "-u ", "bearer ", "Authorization: "),
    *("eyJ", "eyJaaaaaa.", "sk-", "Cookie: a=b\n ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
    "-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n",
]


@pytest.mark.parametrize("piece", REPEATED)
def test_100_kilobytes_of_hostile_repetition_do_not_stop_redaction(piece: str) -> None:
    once = redact((piece * 100_000)[:100_000])
    assert redact(once) == once


@pytest.mark.parametrize("bytes_max", [0, 1, 10, 25, 40, 99, 100])
@pytest.mark.parametrize("text", ["x" * 100, "ü" * 50, "🦊" * 25, "a\ud800" * 14 + "zz"])
def test_bounded_text_fits_and_is_utf8(text: str, bytes_max: int) -> None:
    bounded = bound(text, bytes_max)
    assert len(bounded.encode()) <= bytes_max
    assert bound(bounded, bytes_max) == bounded


def test_a_cut_says_how_much_was_left_out() -> None:
    assert bound("ü" * 100, 100) == "ü" * 38 + "… [124 bytes left out]"
    assert bound("short", 100) == "short"


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_come_out_clean(raw: bytes, bytes_max: int) -> None:
    cleaned = clean(raw, bytes_max)
    assert len(cleaned.encode()) <= bytes_max
    assert all(char in "\n\t" or char >= " " for char in cleaned)


def test_bytes_that_are_no_utf8_stay_visible() -> None:
    assert decode(b"ok \xff\xc3") == r"ok \xff\xc3"


def test_a_cut_never_shows_half_a_secret() -> None:
    text = "password=" + "hunter2" * 100
    assert all("hun" not in clean(text, bytes_max) for bytes_max in range(200))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\x00\x7f", r"a\x0db\x00\x7f"),
        ("abc\u202edcba\u2066", r"abc\u202edcba\u2066"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("\ud800", r"\ud800"),
        ("line\n\ttab\r\nnext", "line\n\ttab\nnext"),
        ("Grüße, 你好, 🦊", "Grüße, 你好, 🦊"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_sinks_get_one_line() -> None:
    assert printable("a\nb\tc", lines=False) == r"a\x0ab\x09c"


HOSTILE = [
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "# heading",
    "a\n# heading",
    "- item\n- item",
    "1. one",
    "> quote",
    "a | b\n--|--\n1 | 2",
    "```\ncode\n```",
    "~~~\ncode",
    "    indented",
    "text\n====",
    "***bold*** _em_ `code`",
    "[ref]: https://evil.example\n[ref]",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    "back\\slash\\",
    "a@b.example",
    "$x$",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_inline_markdown_renders_as_the_text_itself(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == " ".join(text.split())


def test_a_table_cell_keeps_its_table() -> None:
    table = f"| a | b |\n|---|---|\n| {markdown('x | y')} | z |\n"
    cells = [token for token in MarkdownIt("commonmark").enable("table").parse(table) if token.type == "td_open"]
    assert len(cells) == 2


@pytest.mark.parametrize("text", ["```\n# out", "`" * 7, "~~~", "plain", "ends\n", "\r```\r# x", "\x1b[31m"])
def test_a_block_cannot_be_left(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(markdown_block(text) + "after")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.rstrip("\n") == printable(text).rstrip("\n")
