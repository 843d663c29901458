"""The first level: values themselves, in this process, least recently used first to go."""

import fnmatch
import re
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

# key, value tuple, dict slots and links: what an entry weighs besides its value (measured with tracemalloc).
OVERHEAD_BYTES = 400

Entry = tuple[Any, datetime, datetime, datetime, int, tuple[str, ...]]
"""value, fresh until, of use until, made at, bytes, tags: a tuple, since the hot path only indexes it."""


class Memory:
    """Entries by key, bounded in bytes. Not for threads: one per event loop."""

    def __init__(self, most_bytes: int) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.bytes = 0
        self.evictions = 0
        self._most_bytes = most_bytes
        self._by_tag: dict[str, set[str]] = {}

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry, and let go of others until there is room. One larger than an eighth of all is not kept."""
        self.drop(key)
        size = entry[4] + OVERHEAD_BYTES
        if size * 8 > self._most_bytes:
            return
        self.entries[key] = entry
        self.bytes += size
        for tag in entry[5]:
            self._by_tag.setdefault(tag, set()).add(key)
        while self.bytes > self._most_bytes:
            self.drop(next(iter(self.entries)))
            self.evictions += 1

    def drop(self, key: str) -> bool:
        """Forget one key; whether it was there."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return False
        self.bytes -= entry[4] + OVERHEAD_BYTES
        for tag in entry[5]:
            keys = self._by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._by_tag[tag]
        return True

    def drop_all(self, keys: Iterable[str]) -> int:
        """Forget several keys; how many were there."""
        return sum(self.drop(key) for key in tuple(keys))

    def drop_tag(self, tag: str) -> int:
        """Forget what was kept under a tag."""
        return self.drop_all(self._by_tag.get(tag, ()))

    def drop_like(self, pattern: str) -> int:
        """Forget keys that match a pattern with `*` and `?`."""
        matches = re.compile(fnmatch.translate(escaped(pattern))).match
        return self.drop_all(key for key in self.entries if matches(key))

    def clear(self) -> int:
        """Forget everything; how many entries."""
        count = len(self.entries)
        self.entries.clear()
        self._by_tag.clear()
        self.bytes = 0
        return count


def escaped(pattern: str) -> str:
    """A pattern in which only `*` and `?` mean anything, the same at every level."""
    return pattern.replace("[", "[[]")
