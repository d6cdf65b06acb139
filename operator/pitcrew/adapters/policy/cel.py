"""Rules in CEL, over `common-expression-language` (the Rust implementation).

Evaluation happens in the event loop and holds the interpreter lock, so an expression is bounded before it is believed:
1 KiB, two macros (all, exists, exists_one, map, filter), literals of 32 items, `matches` at most once. An expression
with a macro has `map` at most once, 64 words and signs, no `matches` and no sum (lists added up would be longer than
32). The case is bounded as well: an expression that reads a list or map that is too long, or variables that are too
large together, fails, and so denies; half a list must not be half an answer.

The costliest expressions within these bounds were searched for and took 0.15 s with macros and 0.3 s with a pattern
too large to compile, on one busy core; a usual rule takes 0.05 ms. Importing the library takes 0.2 s, so that it is
imported with the first rule.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from pitcrew.core.errors import InvalidInput
from pitcrew.core.policy import CompiledRule
from pitcrew.core.resource import HealthyService, RemediationPolicy, Rule
from pitcrew.core.untrusted import clean

if TYPE_CHECKING:
    import cel

EXPRESSION_BYTES_MAX = 1024
MACROS_MAX = 2
MATCHES_MAX = 1
"""A pattern too large for the library takes it 0.2 s to refuse."""
MACRO_TOKENS_MAX = 64
"""Words and signs of an expression with a macro: nested ones carry them out a thousand times."""
ITEMS_MAX = 32
ENTRIES_MAX = 64
"""Entries of one map where no macro walks over it; a service may have 64 labels."""
VALUES_MAX = 512
CHARACTERS_MAX = 16384
"""Values, and characters of their texts, of all variables that one expression reads: the library copies a variable each
time it is read."""
DEPTH_MAX = 8
MESSAGE_BYTES_MAX = 200

VARIABLES = frozenset({"service", "incident", "diagnosis", "action", "risk", "history", "now"})
_TYPES = frozenset({"bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"})
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})

_FAILURES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the library raises for an expression that has no answer: a missing key, an overflow, a wrong type."""

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
    |(?P<text>(?:[bB]?[rR]|[rR][bB])(?:'''[\s\S]*?'''|\"{3}[\s\S]*?\"{3}|'[^'\n]*'|"[^"\n]*")
        |[bB]?(?:'''(?:[^\\]|\\[\s\S])*?'''|\"{3}(?:[^\\]|\\[\s\S])*?\"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9][0-9A-Za-z_.]*)
    |(?P<sign>[\s\S])""",
    re.VERBOSE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CelCompiler:
    """Turns rules into callables (port `RuleCompiler`)."""

    def compile(self, rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
        """One callable per rule, in order."""
        return tuple(_compile(rule) for rule in rules)


def check_rules(resource: HealthyService | RemediationPolicy) -> tuple[tuple[str, str], ...]:
    """For `pitcrew validate`: where a rule cannot be used, the path of its expression and why."""
    found = []
    if isinstance(resource, HealthyService):
        path, rules = "spec.policy.rules", resource.spec.policy.rules
    else:
        path, rules = "spec.rules", resource.spec.rules
    for place, rule in enumerate(rules):
        try:
            _program(rule.expression)
        except InvalidInput as error:
            found.append((f"{path}[{place}].expression", str(error)))
    return tuple(found)


def _compile(rule: Rule) -> CompiledRule:
    try:
        program = _program(rule.expression)
    except InvalidInput as error:
        raise InvalidInput(f"rule {rule.name}: {error}") from None
    entries_max = ITEMS_MAX if _calls(tuple(_tokens(rule.expression)), _MACROS) else ENTRIES_MAX
    evaluate = _evaluator(program, entries_max)
    return CompiledRule(name=rule.name, effect=rule.effect, message=rule.message, evaluate=evaluate)


def _program(expression: str) -> "cel.Program":
    """The expression, compiled, after its bounds were checked.

    Raises:
        InvalidInput: it does not parse, is too large or too costly, or reads what a case does not have.
    """
    import cel

    _refuse_costly(expression)
    try:
        program = cel.compile(expression)
    except _FAILURES as error:
        raise InvalidInput(f"not CEL: {_told(error)}") from None
    _refuse_unknown(expression, program)
    return program


def _evaluator(program: "cel.Program", entries_max: int) -> Callable[[Mapping[str, object]], object]:
    needed = VARIABLES & set(program.variables())

    def evaluate(case: Mapping[str, object]) -> object:
        """What the expression gives for this case; ValueError where it gives nothing."""
        room = _Room(entries_max=entries_max)
        variables = {name: room.take(case.get(name, {}), name, 0) for name in sorted(needed)}
        try:
            answer: object = program.execute(variables)
        except KeyError as error:
            raise ValueError(f"no such field: {_told(error)}") from None
        except _FAILURES as error:
            raise ValueError(_told(error)) from None
        return answer

    return evaluate


def _told(error: Exception) -> str:
    """What the library says, without the expression it repeats, in one bounded line."""
    said = str(error)
    return clean(" ".join((said.partition("ERROR: ")[2] or said)[: 4 * MESSAGE_BYTES_MAX].split()), MESSAGE_BYTES_MAX)


# Bounds of the expression


def _refuse_costly(expression: str) -> None:
    size = len(expression.encode("utf-8", "backslashreplace"))
    if size > EXPRESSION_BYTES_MAX:
        raise InvalidInput(f"{size} bytes, above {EXPRESSION_BYTES_MAX}; split it into several rules")
    tokens = tuple(_tokens(expression))
    macros, matches = _calls(tokens, _MACROS), _calls(tokens, frozenset({"matches"}))
    if macros > MACROS_MAX:
        raise InvalidInput(f"{macros} macros (all, exists, map, filter ...), above {MACROS_MAX}; split the rule")
    if matches > MATCHES_MAX or (matches and macros):
        raise InvalidInput("matches may be used once, and not beside a macro; use startsWith or contains")
    if macros and len(tokens) > MACRO_TOKENS_MAX:
        raise InvalidInput(f"{len(tokens)} words and signs, above {MACRO_TOKENS_MAX} beside a macro; split the rule")
    if _calls(tokens, frozenset({"map"})) > 1:
        raise InvalidInput("map may be used once, since two give lists of thousands of items; use exists or all")
    if macros and "+" in tokens:
        raise InvalidInput("a sum beside a macro could make lists longer than the bound; write it without +")
    _refuse_long_literals(tokens)


def _tokens(expression: str) -> Iterator[str]:
    """Names and signs as they are, a quoted text or a number as `0`; blanks and comments fall out."""
    for match in _TOKEN.finditer(expression):
        if match.lastgroup in ("name", "sign"):
            yield match[0]
        elif match.lastgroup != "skip":
            yield "0"


def _calls(tokens: Sequence[str], names: frozenset[str]) -> int:
    """How often one of these is called, as a method or by itself."""
    return sum(token in names and after == "(" for token, after in pairwise(tokens))


def _refuse_long_literals(tokens: Sequence[str]) -> None:
    commas = [0]
    for token in tokens:
        if token in "([{":
            commas.append(0)
        elif token in ")]}" and len(commas) > 1:
            commas.pop()
        elif token == ",":
            commas[-1] += 1
            if commas[-1] >= ITEMS_MAX:
                raise InvalidInput(f"a list of more than {ITEMS_MAX} items; split the rule")


def _refuse_unknown(expression: str, program: "cel.Program") -> None:
    """A misspelt variable is found when it is written, not when it is needed."""
    bound_by_macros = {
        tokens[place + 2]
        for tokens in [tuple(_tokens(expression))]
        for place in range(len(tokens) - 2)
        if tokens[place] in _MACROS and tokens[place + 1] == "("
    }
    unknown = sorted(set(program.variables()) - VARIABLES - _TYPES - bound_by_macros)
    if unknown:
        shown = clean(", ".join(unknown), MESSAGE_BYTES_MAX)
        raise InvalidInput(f"unknown name {shown}; a rule sees {', '.join(sorted(VARIABLES))}")


# Bounds of the case


@dataclass(kw_only=True, slots=True)
class _Room:
    """What is left for the variables of one evaluation."""

    entries_max: int
    values: int = VALUES_MAX
    characters: int = CHARACTERS_MAX

    def take(self, value: object, path: str, depth: int) -> object:
        """The value in the types that CEL has.

        Raises:
            ValueError: it is too long, too deep, too large together with those before, or of another type.
        """
        self._spend(path, depth)
        match value:
            case str():
                return self._text(value, path)
            case None | bool() | int() | float() | datetime() | timedelta():
                return value
            case Mapping():
                _refuse_long(value, path, self.entries_max)
                return {self._text(str(key), path): self.take(item, path, depth + 1) for key, item in value.items()}
            case list() | tuple():
                _refuse_long(value, path, ITEMS_MAX)
                return [self.take(item, path, depth + 1) for item in value]
            case _:
                raise ValueError(f"{path}: {type(value).__name__} is nothing that a rule can read")

    def _spend(self, path: str, depth: int) -> None:
        self.values -= 1
        if self.values < 0 or depth > DEPTH_MAX:
            raise ValueError(f"{path}: more than {VALUES_MAX} values or {DEPTH_MAX} levels, too much for a rule")

    def _text(self, text: str, path: str) -> str:
        self.characters -= len(text)
        if self.characters < 0:
            raise ValueError(f"{path}: texts of more than {CHARACTERS_MAX} characters, too much for a rule")
        return str(text)


def _refuse_long(value: Mapping[object, object] | Sequence[object], path: str, most: int) -> None:
    if len(value) > most:
        raise ValueError(f"{path}: {len(value)} items, above {most}, so a rule cannot weigh them all")
