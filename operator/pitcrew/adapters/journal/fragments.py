"""What a crash leaves at the end of the journal: bytes of a write that nobody was told is durable, kept and told."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from pitcrew.adapters.journal.disk import Disk
from pitcrew.adapters.journal.segments import Layout, segment_lines
from pitcrew.core.chain import Chain, Damage
from pitcrew.core.record import FRAGMENT_SET_ASIDE, Entry


def set_aside(layout: Layout, chain: Chain, disk: Disk) -> Chain:
    """The chain without the fragment at its end, which is kept in a file of its own and then cut off.

    Any other damage, and a fragment that is not at the end of the newest segment, is left for a person.
    Raises OSError when the disk refuses.
    """
    newest = max(layout.plain_numbers(), default=0)
    fault = chain.fault
    if fault is None or fault.damage is not Damage.FRAGMENT or not fault.place.startswith(f"{newest:06}.jsonl:"):
        return chain
    *whole, fragment = segment_lines(layout, newest)
    offset = sum(map(len, whole))
    disk.replace(layout.fragment(newest, offset, hashlib.sha256(fragment).hexdigest()), fragment)
    descriptor = disk.open_append(layout.plain(newest))
    try:
        disk.truncate(descriptor, offset)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    return replace(chain, fault=None, skipped={})


def kept_fragments(layout: Layout) -> Mapping[str, bytes]:
    """What was ever set aside, by name."""
    return {path.name: path.read_bytes() for path in sorted(layout.fragments.iterdir()) if path.suffix != ".partial"}


def fragment_entry(name: str, fragment: bytes) -> Entry:
    """The record that tells of a fragment."""
    sha256 = hashlib.sha256(fragment).hexdigest()
    return Entry(type=FRAGMENT_SET_ASIDE, data={"fragment": name, "bytes": len(fragment), "sha256": sha256})
