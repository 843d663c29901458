"""The two sides of `bench.sync_diff`: seeded records of people, as pages of a target and as rows of a source's driver.

Written to files that every contender reads. It imports nothing beyond the standard library: the peers' environments read
it too.
"""

import json
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIELDS = (
    "mail", "first", "last", "number", "company", "role", "profile", "manager", "culture", "currency", "title", "account",
    "structure", "auth", "since", "car", "approved", "distance", "payment", "limits",
)  # fmt: skip
FLAGS = frozenset({"car", "approved", "distance", "payment", "limits"})
# In the lane `rules`: what is compared otherwise than by the value itself.
CI, BLANK, DAY, WORDS = ("mail", "manager"), ("title", "account"), "since", ("car", "approved")
_PAGE, _BATCH = 200, 1_000
COMPANIES = tuple((f"C{n:02}", f"company-{n}") for n in range(40))

Record = tuple[Any, ...]


def write(folder: Path, count: int, *, lane: str) -> None:
    """Both sides of so many records. 1 % differ, 0.5 % are new, 0.5 % are gone; the target keeps no order."""
    seeded = random.Random(count)  # noqa: S311 - the same data each time
    gone, new = (frozenset(seeded.sample(range(count), count // 200)) for _ in range(2))
    order = [n for n in range(count) if n not in new]
    seeded.shuffle(order)
    with (folder / "target.pages").open("w") as file:
        for start in range(0, len(order), _PAGE):
            data = [dict(zip(FIELDS, _said(_person(n), n, lane), strict=True)) for n in order[start : start + _PAGE]]
            file.write(json.dumps({"data": data}, separators=(",", ":")) + "\n")
    kept = [n for n in range(count) if n not in gone]
    with (folder / "source.rows").open("wb") as rows:
        for start in range(0, len(kept), _BATCH):
            pickle.dump([_changed(_person(n), n) for n in kept[start : start + _BATCH]], rows)


def pages(folder: Path) -> Iterator[bytes]:
    """The bytes of each page of the target."""
    with (folder / "target.pages").open("rb") as file:
        yield from file


def batches(folder: Path) -> Iterator[list[Record]]:
    """The rows of the source, a batch at a time, as a driver gives them."""
    with (folder / "source.rows").open("rb") as file:
        while True:
            try:
                yield pickle.load(file)  # noqa: S301 - this bench has just written it
            except EOFError:
                return


def _person(n: int) -> Record:
    since = f"{2000 + n % 25}-{n % 12 + 1:02}-{n % 28 + 1:02}"
    return (
        f"person.{n}@example.org", f"First{n % 5003}", f"Last{n % 9001}", f"E{n:07}", COMPANIES[n % 40][0],
        f"role-{n % 5}", f"profile-{n % 6}", f"person.{n // 10}@example.org", "fr", "EUR",
        f"Title {n % 307}" if n % 10 else None, f"A{n % 4001}" if n % 7 else None, "L3", "Sso", since,
        n % 2 == 0, n % 3 == 0, n % 5 == 0, n % 7 == 0, n % 11 == 0,
    )  # fmt: skip


def _changed(record: Record, n: int) -> Record:
    """Every hundredth person has another surname, and every other of those another flag."""
    if n % 100:
        return record
    return (*record[:2], f"{record[2]}-X", *record[3:18], record[18] ^ (n % 200 == 0), record[19])


def _said(record: Record, n: int, lane: str) -> Record:
    """A record as the target says it: under `rules` its words differ, and mean the same."""
    if lane == "exact":
        return record
    parts = dict(zip(FIELDS, record, strict=True))
    if n % 50 == 0:
        parts |= {name: parts[name].title() for name in CI}
    parts |= {name: parts[name] or "" for name in BLANK}
    parts[DAY] += "T00:00:00Z"
    parts |= {name: "oui" if parts[name] else "non" for name in WORDS}
    return tuple(parts.values())
