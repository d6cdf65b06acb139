"""The data that a service reads: the folder `catalogue` in the directory it runs in, whose `index.json` lists the rest.

Taking a file away is renaming it, so that what is away shows in the folder itself and nothing has to be remembered.
"""

from collections.abc import Iterable

FOLDER = "catalogue"
INDEX = "index.json"
AWAY = ".before-chaos"
"""What is put behind the name of a file that is taken away."""
FILES_MIN = 3
"""Below this many no share near two fifths can be taken."""


def shelved(names: Iterable[str]) -> list[str]:
    """The data files, sorted, those that are away under the names they had."""
    return sorted({name.removesuffix(AWAY) for name in names if name != INDEX and not name.startswith(".")})


def away(names: Iterable[str]) -> list[str]:
    """The files that are away, under the names they had."""
    return sorted(name.removesuffix(AWAY) for name in names if name.endswith(AWAY))


def two_fifths(names: Iterable[str]) -> list[str]:
    """Two of every five data files, spread evenly: whoever reads them in turn never meets two of them in a row."""
    return [name for place, name in enumerate(shelved(names)) if place * 2 % 5 < 2]


def said(names: Iterable[str]) -> str:
    """How the folder is, for `status`."""
    kept = list(names)
    return f"{len(shelved(kept))} files, {len(away(kept))} away" if shelved(kept) else "no catalogue"
