"""Search over runbooks by SQLite's FTS5, in memory: words with their stems, ranked by BM25.

What is asked for is never taken as a query of FTS5: plain words are cut out of it, and each is quoted.
"""

import re
import sqlite3
import threading
from collections.abc import Iterable, Sequence

from pitcrew.core.errors import InvalidInput
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import Hit
from pitcrew.core.untrusted import bound

ENGINE = f"SQLite {sqlite3.sqlite_version}, FTS5"
"""What searches."""
ASKED_CHARS_MAX = 16 * 1024
"""Characters of what is asked for that are looked at."""
WORDS_MAX = 48
"""Words that are looked for, the first ones; each costs a look at the index."""
WORD_CHARS = (3, 40)
"""Shortest and longest word that is looked for; shorter ones are in every text, longer ones are ids."""
INDEXED_BYTES_MAX = 16 * 1024
"""Bytes of a runbook's text that can be found; a page or two has a fifth of that."""
HITS_MAX = 100
"""Runbooks found at most, the best ones."""

_TABLE = """CREATE VIRTUAL TABLE books USING fts5(
    id UNINDEXED, head, signals, text, tokenize = 'porter unicode61 remove_diacritics 2'
)"""
_WEIGHTS = "bm25(books, 0, 8, 3, 1)"
"""Title and cause weigh most, then the words of the signals, then the text; the first column is not searched."""
_RANKED = f"SELECT id FROM books WHERE books MATCH ? ORDER BY round({_WEIGHTS}, 9), id LIMIT {HITS_MAX}"
_HAVING = "SELECT id FROM books WHERE books MATCH ?"
_WORD = re.compile(rf"[^\W_]{{{WORD_CHARS[0]},}}")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Fts5Search:
    """The RunbookSearch port over one set of runbooks."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        self._alone = threading.Lock()

    @classmethod
    def over(cls, runbooks: Iterable[Runbook]) -> "Fts5Search":
        """The index over these runbooks.

        Raises InvalidInput where this Python's SQLite has no FTS5.
        """
        index = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            index.execute(_TABLE)
        except sqlite3.OperationalError as error:
            index.close()
            raise InvalidInput(
                f"SQLite {sqlite3.sqlite_version} of this Python cannot search runbooks ({error}); "
                "use a Python whose sqlite3 was built with FTS5, such as that of Debian or python.org"
            ) from None
        index.executemany("INSERT INTO books VALUES (?, ?, ?, ?)", map(_row, runbooks))
        return cls(index)

    def search(self, asked: str) -> Sequence[Hit]:
        """See `pitcrew.ports.RunbookSearch`."""
        words = plain_words(asked)
        if not words:
            return ()
        with self._alone:
            having = {word: set(self._ids(_HAVING, f'"{word}"')) for word in words}
            ranked = self._ids(_RANKED, " OR ".join(f'"{word}"' for word in words))
        return tuple(Hit(runbook=id_, words=tuple(w for w in words if id_ in having[w])) for id_ in ranked)

    def _ids(self, query: str, match: str) -> list[str]:
        return [id_ for (id_,) in self._index.execute(query, (match,))]

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()


def plain_words(asked: str) -> tuple[str, ...]:
    """The words that are looked for, in small letters: letters and digits only, each once, in order."""
    found = dict.fromkeys(_WORD.findall(asked[:ASKED_CHARS_MAX].lower()))
    return tuple(word for word in found if len(word) <= WORD_CHARS[1])[:WORDS_MAX]


def _row(runbook: Runbook) -> Sequence[str]:
    """The columns; without exclusions, since their words speak against it."""
    head = runbook.head
    named = f"{head.title} {head.cause} {_HUMPS.sub(' ', head.cause)} {head.id}"
    signals = " ".join(map(str, head.signals))
    columns = (head.id, named, f"{signals} {_HUMPS.sub(' ', signals)}", runbook.text)
    return tuple(bound(column, INDEXED_BYTES_MAX) for column in columns)
