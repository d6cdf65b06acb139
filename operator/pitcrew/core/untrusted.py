r"""Text that somebody else wrote: bounded, redacted and escaped before a person, a model or a file sees it (S8).

`clean` is the one call for what comes from outside: logs, env, labels, bodies, exec output, texts of exceptions.
`markdown` and `markdown_block` are for the sink of that name, on top of it.

Redaction is a list of patterns and errs towards removing too much beside a name such as `password`, and too little
elsewhere, so that ordinary text, hashes and ids stay readable. It cannot know a secret that looks like an ordinary word
in an ordinary sentence. Every pattern is linear in the text: repeats are bounded or possessive.
"""

import binascii
import math
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

_REDACTION_PASSES_MAX = 4
"""A replacement can bring two texts together that match anew; four passes were enough for every text ever tried."""


# Bounding


def decode(raw: bytes) -> str:
    r"""UTF-8 as text; bytes that are not UTF-8 stay visible as `\xff`."""
    return raw.decode("utf-8", "backslashreplace")


def bound(text: str, bytes_max: int) -> str:
    """The beginning of `text`, at most `bytes_max` bytes of UTF-8, its mark of how many bytes were left out included.

    No character is cut in two; lone surrogates are written as escapes. A limit too small for the mark cuts without it.
    """
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= bytes_max:
        return raw.decode("utf-8")
    room = bytes_max - len(_left_out(len(raw)).encode())
    if room < 0:
        return raw[: max(bytes_max, 0)].decode("utf-8", "ignore")
    kept = raw[:room].decode("utf-8", "ignore")
    return kept + _left_out(len(raw) - len(kept.encode()))


def _left_out(count: int) -> str:
    return f"… [{count} bytes left out]"


# Redacting

_GAP = r"(?:\x1b\[[0-9;]{0,16}m|\\x1b\[[0-9;]{0,16}m)*+"
"""Colours, raw or escaped, that console loggers put between a name, its sign and its value."""

_NAMES = (
    r"pass(?:word|wd|phrase|code)|(?<=[_-])pass(?![a-z])|(?<![a-z])pwd|secret|token|credentials?"
    r"|(?:api|access|private|secret|auth|account|encryption|signing|shared|master|license)[_.-]?key"
    r"|session[_-]?id(?![a-z])|connection[_-]?string"
)
_HARMLESS_SUFFIX = re.compile(
    r"(?i:[_.-](?:file|path|dir|name|ref|url|uri|endpoint|id|type|kind|count|len|length|size|limit|max|min|age|ttl"
    r"|expiry|expires|expires_?(?:in|at)|policy|hint|rotation|rotated_?at|budget|usage|rate|version|bytes))$"
    r"|(?:File|Path|Name|Ref|Url|Uri|Id|Type|Count|Length|Size|Limit|Expiry|ExpiresIn|ExpiresAt|Policy|Version)$"
)
"""What follows `password` or `token` in names of things that are no secret: `password_file`, `secretName`."""

_SUFFIX = r"(?P<suffix>(?-i:[A-Z][A-Za-z0-9_.-]{0,32}|[0-9_.-][A-Za-z0-9_.-]{0,32})?+)"
_SIGN = (
    rf"{_GAP}(?:\\?[\"'])?{_GAP}[ \t]{{0,16}}(?::=|=>|[:=]){_GAP}"
    r"[ \t]{0,64}(?:[|>][+-]?[ \t]{0,16}(?=\r?\n)|\\(?=\r?\n))?(?P<break>\r?\n[ \t]{0,64})?"
    rf"(?:\[(?!redacted:)[ \t]{{0,8}})?{_GAP}"
)
_VALUE = (
    r"(?P<value>\\?\"(?:[^\"\\\n]|\\[^\n]){0,4096}+(?:\\?\")?|'(?:[^'\\\n]|\\[^\n]){0,4096}+'?|`[^`\n]{0,4096}+`?"
    r"|[^\s\"'<>]{1,4096}+)"
)

_ASSIGNED = re.compile(rf"(?P<name>{_NAMES}){_SUFFIX}(?P<sign>{_SIGN}){_VALUE}", re.I)
_OPTION = re.compile(
    rf"(?P<name>--(?:[a-z0-9]{{1,20}}-){{0,3}}(?:{_NAMES}|pass)){_SUFFIX}"
    r"(?P<sign>[\"'],\s{0,16}[\"']|[ \t]{1,16})"
    r"(?P<value>\"[^\"\n]{0,4096}+\"?|'[^'\n]{0,4096}+'?|(?!-)[^\s\"',]{1,4096}+)",
    re.I,
)
_QUOTED_WORD = re.compile(
    r"(?P<name>\b(?:password|passphrase|identified[ \t]{1,8}by))(?P<sign>[ \t]{1,8})"
    r"(?P<value>'[^'\n]{1,4096}+'|\"[^\"\n]{1,4096}+\")",
    re.I,
)
_ELEMENT = re.compile(
    rf"(?P<name>{_NAMES})(?P<sign>[A-Za-z0-9_.-]{{0,32}}+>)(?P<value>[^<\s][^<\n]{{0,4096}}+)(?=</)", re.I
)
_KEYED = re.compile(
    r"(?P<name>(?<![A-Za-z0-9])(?:[A-Za-z0-9]{1,32}[_.-]){0,4}+(?:key|auth|sig|signature|credential|pat|dsn))"
    r"(?P<sign>\\?[\"']?[ \t]{0,16}[:=][ \t]{0,16})"
    r"(?P<value>\"[^\"\n]{0,4096}+\"?|'[^'\n]{0,4096}+'?|[^\s\"'<>&;,]{20,4096}+)",
    re.I,
)
_HEADER = re.compile(
    r"(?P<name>(?<![A-Za-z0-9])(?:(?:proxy-)?authorization|x-(?:api-key|auth-token|amz-security-token|vault-token)))"
    rf"(?P<sign>{_GAP}\\?[\"']?{_GAP}[ \t]{{0,16}}[:=]{_GAP}[ \t]{{0,64}}(?:\r?\n[ \t]{{1,64}})?{_GAP}\\?[\"']?)"
    r"(?P<value>[^\s\"'][^\"'\r\n]{0,8192}+(?:\r?\n[ \t]{1,64}+(?![^\s:]{1,64}:)[^\"'\r\n]{1,8192}+){0,8}+)",
    re.I,
)
_COOKIE = re.compile(
    r"(?P<name>(?<![A-Za-z0-9])(?:set-)?cookie2?)"
    r"(?P<sign>\\?[\"']?[ \t]{0,16}[:=][ \t]{0,64}(?:\r?\n[ \t]{1,64})?\\?[\"']?)"
    r"(?P<value>[^\s=\"']{1,256}+=[^\"'\r\n]{0,8192}+(?:\r?\n[ \t]{1,64}+[^\s=:]{1,256}+=[^\"'\r\n]{0,8192}+){0,8}+)",
    re.I,
)
_URL = re.compile(r"(?P<name>://[^\s:@/?#\"'<>]{0,256}+:)(?P<value>[^\s/?#\"'<>]{1,512})(?=@)")
_URL_SLASHED = re.compile(
    r"(?P<name>://[^\s:@/?#\"'<>]{1,256}+:)(?P<value>(?!\d{1,5}(?:[/?#]))[^\s\"'<>@]{1,512}+)(?=@)"
)
_URL_TOKEN = re.compile(r"(?P<name>://)(?P<value>[A-Za-z0-9_.~-]{20,512}+)(?=@)")
_CURL_USER = re.compile(
    r"(?P<name>(?<!\S)(?:-u|--user)(?:[ \t]{1,8}|=)[\"']?[^\s:\"']{1,128}+:)(?P<value>[^\s\"']{1,512}+)"
)
_SHORT_OPTION = re.compile(
    r"(?P<name>\bsshpass[ \t]{1,8}-p[ \t]{0,8}|\bmysql(?:dump|admin)?[ \t](?:[^\n]{0,128}?[ \t])?-p)"
    r"(?P<value>\S{1,512}+)"
)
_SCHEME = re.compile(r"(?P<name>\b(?:bearer|basic)[ \t]{1,8})(?P<value>[A-Za-z0-9._~+/=-]{8,8192}+)", re.I)

_TOKENS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("jwt", r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{5,4096}+\.[A-Za-z0-9_-]{5,8192}+(?:\.[A-Za-z0-9_-]{0,4096}+){0,3}+"),
        ("aws-key", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
        ("github-token", r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{16,255}+|github_pat_[A-Za-z0-9_]{20,255}+)"),
        ("gitlab-token", r"(?<![A-Za-z0-9])gl(?:pat|dt|rt|cbt)-[A-Za-z0-9_-]{16,255}+"),
        ("slack-token", r"(?<![A-Za-z0-9])(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,255}+"),
        ("slack-webhook", r"(?<=hooks\.slack\.com/)(?:services|workflows)/[A-Za-z0-9/_-]{8,255}+"),
        ("google-key", r"(?<![A-Za-z0-9])(?:AIza[\w-]{30,64}+|ya29\.[\w-]{20,2048}+|GOCSPX-[\w-]{16,64}+)"),
        ("api-key", r"(?<![A-Za-z0-9_-])(?:sk|rk|pk)[-_](?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{16,512}+"),
        ("package-token", r"(?<![A-Za-z0-9])(?:npm_[a-zA-Z0-9]{30,64}+|pypi-[\w-]{32,512}+|hf_[A-Za-z0-9]{20,64}+)"),
        ("mail-token", r"(?<![A-Za-z0-9])SG\.[\w-]{16,64}+\.[\w-]{16,64}+"),
        ("cloud-token", r"(?<![A-Za-z0-9])(?:do[opr]_v1_[a-f0-9]{32,64}+|hv[sb]\.[\w-]{20,255}+)"),
        ("pitcrew-token", r"(?<![A-Za-z0-9])pitcrew_(?=[a-z_-]{0,42}[A-Z0-9])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
        ("age-key", r"(?<![A-Za-z0-9])AGE-SECRET-KEY-1[A-Z0-9]{20,80}+"),
    )
)

_REDACTED = re.compile(r"\[redacted:[a-z-]+\]")
_LITERALS = frozenset({"", "null", "none", "nil", "true", "false", "yes", "no", "undefined", "{", "[", "|", ">"})
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TRAILING = ",;)}]"


def redact(text: str) -> str:
    """The text with every secret that the list knows replaced by `[redacted:KIND]`. Doing it twice changes nothing."""
    for _ in range(_REDACTION_PASSES_MAX):
        redacted = _redact_once(text)
        if redacted == text:
            break
        text = redacted
    return text


def _redact_once(text: str) -> str:
    text = _redact_pem(text)
    text = _HEADER.sub(_replacing("authorization"), text)
    text = _COOKIE.sub(_replacing("cookie"), text)
    text = _URL.sub(_replacing("url-password"), text)
    for pattern in (_URL_SLASHED, _URL_TOKEN):
        text = pattern.sub(_replacing("url-password"), text)
    for pattern in (_CURL_USER, _SHORT_OPTION):
        text = pattern.sub(_replacing("password"), text)
    for kind, pattern in _TOKENS:
        text = pattern.sub(f"[redacted:{kind}]", text)
    text = _ASSIGNED.sub(_redact_assigned, text)
    for pattern in (_OPTION, _QUOTED_WORD, _ELEMENT):
        text = pattern.sub(_redact_named, text)
    text = _KEYED.sub(_redact_keyed, text)
    return _SCHEME.sub(_redact_scheme, text)


def _replacing(kind: str) -> Callable[[re.Match[str]], str]:
    """A replacement of the group `value`, by one mark that takes what was redacted inside it along."""

    def replace(match: re.Match[str]) -> str:
        return _before_value(match) + f"[redacted:{kind}]"

    return replace


def _before_value(match: re.Match[str]) -> str:
    return match.string[match.start() : match.start("value")]


def _redact_assigned(match: re.Match[str]) -> str:
    """`name: value` with the value gone, unless it stands on a line of its own that is a sentence or another key."""
    if match["break"] is not None and not _alone_on_its_line(match):
        return match[0]
    return _redact_named(match)


def _alone_on_its_line(match: re.Match[str]) -> bool:
    rest = match.string[match.end() : match.end() + 256].split("\n", 1)[0]
    return not rest.strip() and not match["value"].endswith((":", "="))


def _redact_named(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups.get("suffix") and _HARMLESS_SUFFIX.search(groups["suffix"]):
        return match[0]
    value, after = _unwrapped(match["value"])
    if value.lower() in _LITERALS or _REDACTED.fullmatch(value):
        return match[0]
    quote = match["value"][: match["value"].index(value)]
    return f"{_before_value(match)}{quote}[redacted:{_kind(match['name'])}]{after}"


def _unwrapped(value: str) -> tuple[str, str]:
    """The value without its quotes or closing punctuation, and what comes after it."""
    if opening := re.match(r"\\?[\"'`]", value):
        inner = value[opening.end() :]
        closing = opening[0] if inner.endswith(opening[0]) else opening[0][-1]
        return (inner.removesuffix(closing), closing if inner.endswith(closing) else "")
    mark = _REDACTED.match(value)
    bare = value.rstrip(_TRAILING)
    if mark and len(bare) < mark.end():
        return mark[0], value[mark.end() :]
    return bare, value[len(bare) :]


def _kind(name: str) -> str:
    name = name.lower()
    if "token" in name or "session" in name:
        return "token"
    if "key" in name:
        return "api-key"
    return "secret" if "secret" in name or "credential" in name or "string" in name else "password"


def _redact_keyed(match: re.Match[str]) -> str:
    value, after = _unwrapped(match["value"])
    if not _looks_random(value, named=len(match["name"]) > len("key")):
        return match[0]
    quote = match["value"][: match["value"].index(value)]
    return f"{_before_value(match)}{quote}[redacted:high-entropy]{after}"


def _looks_random(value: str, *, named: bool) -> bool:
    """Whether a value is drawn at random: long, mixed, spread out. A bare `key=` may name a hash or an id."""
    if len(value) < 20 or not re.fullmatch(r"[A-Za-z0-9+/=_.~-]+", value) or value.startswith(("/", ".")):
        return False
    if _UUID.fullmatch(value) or (not named and re.fullmatch(r"[0-9A-Fa-f-]+", value)):
        return False
    counted = Counter(value)
    entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counted.values())
    return entropy >= 3.0 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def _redact_scheme(match: re.Match[str]) -> str:
    """`Bearer x` and `Basic x` without their header; `basic authentication` is no credential."""
    value = match["value"]
    basic = match["name"].lower().startswith("basic")
    if not (_is_user_and_password(value) if basic else any(map(str.isdigit, value)) or len(value) >= 24):
        return match[0]
    return f"{match['name']}[redacted:authorization]"


def _is_user_and_password(value: str) -> bool:
    try:
        return b":" in b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False


# Private keys: a block can lack its end (a log that was cut), its beginning (a tail), and each line can have a prefix.

_PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-{0,5}")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-{0,5}")
_PEM_CHARS_MAX = 32_768
_PEM_LINES_MAX = 512
_PEM_BODY = re.compile(r"(?:^|(?<=[\s|:\]>]))(?:[A-Za-z0-9+/]{16,}+={0,2}(?:\\[rn])*+)+[\"',]{0,3}\s*$")
_PEM_INLINE = re.compile(r"(?:\\{1,2}[rn]|[A-Za-z0-9+/=]|-(?!----)){1,32768}+")
_PEM_HEADER = re.compile(r"(?:Proc-Type|DEK-Info|Version|Comment|Hash): [^\n]*$")
_PEM_LAST = re.compile(r"(?:^|(?<=[\s|]))(?=[A-Za-z0-9+/=]*[0-9+/=])[A-Za-z0-9+/]{2,64}+={0,2}[\"',]{0,3}\s*$")
_PEM_MARK = "[redacted:private-key]"


def _redact_pem(text: str) -> str:
    if "PRIVATE KEY" not in text:
        return text
    pieces: list[str] = []
    at = 0
    for begin in _PEM_BEGIN.finditer(text):
        if begin.start() < at:
            continue
        pieces += [_redact_headless(text[at : begin.start()]), _PEM_MARK]
        at = _pem_end(text, begin.end())
    return "".join(pieces) + _redact_headless(text[at:])


def _pem_end(text: str, begin: int) -> int:
    """Where the key that begins before `begin` ends: its END line, or the last line that looks like key."""
    limit = min(len(text), begin + _PEM_CHARS_MAX)
    following = _PEM_BEGIN.search(text, begin, limit)
    limit = following.start() if following else limit
    end = _PEM_END.search(text, begin, limit)
    return end.end() if end else _pem_cut(text, begin, limit)


def _pem_cut(text: str, begin: int, limit: int) -> int:
    """The end of a key without END line. Its short last line has as many words as those before, prefix included."""
    inline = _PEM_INLINE.match(text, begin, limit)
    at = inline.end() if inline else begin
    words = 1
    for start, end in _line_spans(text, at, limit):
        line = text[start:end]
        if _PEM_BODY.search(line):
            at, words = end, len(line.split())
        elif _PEM_HEADER.search(line):
            at = end
        elif at > begin and _PEM_LAST.search(line) and len(line.split()) == words:
            return end
        elif line.strip():
            break
    return at


def _line_spans(text: str, begin: int, limit: int) -> Iterator[tuple[int, int]]:
    at = begin
    for line in text[begin:limit].split("\n", _PEM_LINES_MAX)[:_PEM_LINES_MAX]:
        yield at, at + len(line)
        at += len(line) + 1


def _redact_headless(text: str) -> str:
    """A key whose beginning was cut off: the key-like lines before an END line go with it."""
    ends = [0, *(end.end() for end in _PEM_END.finditer(text))]
    return "".join(_without_body(text[start:end]) for start, end in pairwise(ends)) + text[ends[-1] :]


def _without_body(text: str) -> str:
    """`text` ends in an END line; what belongs to its key is replaced."""
    lines = text.split("\n")
    lines[-1] = _PEM_END.sub("", lines[-1])
    kept = len(lines) - 1
    if kept and _PEM_LAST.search(lines[kept - 1]):
        kept -= 1
    while kept and _PEM_BODY.search(lines[kept - 1]):
        kept -= 1
    return "\n".join([*lines[:kept], _PEM_MARK])


# Escaping

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""C0 and C1 controls, line separators, bidirectional overrides, invisible characters, surrogates, tags."""


def printable(text: str, *, lines: bool = True) -> str:
    r"""The text with control and invisible characters as visible escapes such as `\x1b` and `\u202e`.

    `lines` keeps newlines and tabs (and reads CRLF as a newline); without it they are escaped too, for one-line sinks.
    """
    if lines:
        text = text.replace("\r\n", "\n")
    kept = "\n\t" if lines else ""
    return _UNPRINTABLE.sub(lambda match: match[0] if match[0] in kept else _escape(ord(match[0])), text)


def _escape(code: int) -> str:
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"


_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+\-!|~=$]|(?<=\d)[.](?=\s|$)|:(?=//|[^\s:/]{1,64}@)|(?<=www)\.", re.I)
_MARKDOWN_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def markdown(text: str) -> str:
    """The text as one inline run of Markdown that renders as itself: no link, image, HTML, heading, list, table, fence.

    Newlines become spaces, since blocks begin at lines. A viewer that links bare addresses may still show one as a
    link to just what it reads as; where that matters, use `markdown_block`.
    """
    line = " ".join(printable(text).split())
    escaped = _MARKDOWN.sub(lambda match: "\\" + match[0], line)
    return "".join(_MARKDOWN_HTML.get(char, char) for char in escaped)


def markdown_block(text: str) -> str:
    """The text as a fenced code block, the fence longer than any run of backticks inside; it ends in a newline."""
    body = printable(text)
    runs = (len(run) for run in re.findall(r"`+", body))
    fence = "`" * max(3, max(runs, default=0) + 1)
    return f"{fence}text\n{body}{'' if body.endswith(chr(10)) else chr(10)}{fence}\n"


def clean(text: str | bytes, bytes_max: int) -> str:
    """What came from outside, ready for any record: decoded, redacted, printable, then bounded to `bytes_max` bytes.

    Redaction comes before bounding, so that a cut never leaves half a secret that no pattern knows. Its cost grows with
    the whole text: whoever reads from outside caps the bytes read.
    """
    readable = decode(text) if isinstance(text, bytes) else text
    return bound(printable(redact(readable)), bytes_max)
