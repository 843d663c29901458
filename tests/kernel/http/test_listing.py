"""Lists: cursors, pages, filters, order and a choice of fields, on both databases."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, Row, String, Table, insert, select
from starlette.requests import Request

from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import Found, Listable
from ossature.kernel.db.types import Utc
from ossature.kernel.errors import InvalidInput
from ossature.kernel.http.listing import Asked, Cursors, Listing, Reader, answer

START = datetime(2026, 3, 1, tzinfo=UTC)


SHIP = Table(
    "test_listing_ship",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("line", String, nullable=False),
    Column("built", Utc, nullable=False),
    Column("owner", String),
)
Ship = SHIP.c

SHIPS = Listable(
    key=Ship.id,
    filters={"line": Ship.line, "built": Ship.built, "id": Ship.id},
    sorts={"built": Ship.built, "name": Ship.name},
    default="-built",
)


class Yard(BaseModel):
    town: str
    country: str


class ShipOut(BaseModel):
    id: int
    name: str
    yard: Yard


READER = Reader(SHIPS, ShipOut)


def ask(query: str, *, secret: bytes = b"secret", route: str = "/v1/ships") -> Asked:
    app = SimpleNamespace(state=SimpleNamespace(cursors=Cursors(secret)))
    return READER.read(
        Request({"type": "http", "query_string": query.encode(), "app": app, "ossature.route": route, "headers": []})
    )


def refusals(query: str, **options: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        ask(query, **options)
    return {fault.pointer: fault.message for fault in caught.value.errors}


@pytest.fixture
async def ships(database: Database) -> Database:
    async with database.begin() as db:
        kinds = "TIMESTAMP" if database.embedded else "TIMESTAMPTZ"
        await db.write_text(
            f"CREATE TABLE {SHIP.name} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, line TEXT NOT NULL,"
            f" built {kinds} NOT NULL, owner TEXT)"
        )
        rows = [
            {
                "id": n,
                "name": f"ship {n % 3}",
                "line": "red" if n % 2 else "blue",
                "built": START + timedelta(days=n // 4),
            }
            for n in range(1, 24)
        ]
        await db.execute(insert(SHIP), rows)
    return database


async def walk(database: Database, query: str) -> list[list[int]]:
    pages: list[list[int]] = []
    cursor = ""
    while True:
        asked = ask(query + cursor)
        async with database.begin() as db:
            found: Found[Row[tuple[int]]] = await SHIPS.fetch(db, select(Ship.id), asked, lambda row: row)
        pages.append([row.id for row in found.items])
        if found.next is None:
            return pages
        cursor = f"&cursor={asked.seal(found.next)}"


@pytest.mark.parametrize(
    "order", ["sort=built", "sort=-built", "sort=name,-built", "sort=-name", "sort=name&order=desc", ""]
)
async def test_following_the_cursor_shows_every_row_once(ships: Database, order: str) -> None:
    pages = await walk(ships, f"limit=5&{order}")
    seen = [ship for page in pages for ship in page]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert sorted(seen) == list(range(1, 24))


async def test_rows_are_in_the_order_that_was_asked_for(ships: Database) -> None:
    (page,) = await walk(ships, "sort=name,-built&limit=50")
    keys = [(f"ship {n % 3}", -(n // 4)) for n in page]
    assert keys == sorted(keys)


async def test_a_row_inserted_meanwhile_neither_repeats_nor_hides_another(ships: Database) -> None:
    asked = ask("sort=-built&limit=5")
    async with ships.begin() as db:
        first = await SHIPS.fetch(db, select(Ship.id), asked, lambda row: row.id)
        await db.execute(insert(SHIP), [{"id": 99, "name": "new", "line": "red", "built": START + timedelta(days=90)}])
    rest = ask(f"sort=-built&limit=50&cursor={asked.seal(first.next or ())}")
    async with ships.begin() as db:
        second = await SHIPS.fetch(db, select(Ship.id), rest, lambda row: row.id)
    assert sorted([*first.items, *second.items]) == list(range(1, 24))


async def test_filters_pages_and_totals_combine(ships: Database) -> None:
    asked = ask("line=red&built__gte=2026-03-03T00:00:00Z&id__in=9,11,12,13,99&total=true&page=2&limit=2&sort=built")
    async with ships.begin() as db:
        found = await SHIPS.fetch(db, select(Ship.id), asked, lambda row: row.id)
    assert (found.items, found.total) == ((13,), 3)


def test_unknown_names_are_refused_with_the_ones_that_exist() -> None:
    assert refusals("sort=speed")["query/sort"].endswith("allowed: built, name.")
    assert refusals("fields=name,yard.street")["query/fields"].endswith(
        "allowed: id, name, yard, yard.country, yard.town."
    )


@pytest.mark.parametrize("number", ["000000050999999", "9" * 5000, "000000001" + "0" * 5000, "-1", "1.0", "\u0665"])
@pytest.mark.parametrize("name", ["limit", "page"])
def test_a_number_is_bounded_by_all_of_its_digits(name: str, number: str) -> None:
    assert list(refusals(f"{name}={number}")) == [f"query/{name}"]


def test_every_fault_of_a_query_is_listed() -> None:
    faults = refusals("limit=0&page=x&order=up&total=maybe&built__lt=yesterday&id=seven")
    assert set(faults) == {"query/limit", "query/page", "query/order", "query/total", "query/built__lt", "query/id"}


def test_an_instant_without_a_zone_is_refused() -> None:
    assert "zone" in refusals("built__gte=2026-03-03T00:00:00")["query/built__gte"]


def test_a_cursor_is_good_for_its_own_list_filter_and_order_only() -> None:
    sealed = ask("sort=name").seal(("ship 1", 4))
    assert ask(f"sort=name&cursor={sealed}").after == ("ship 1", 4)
    for other in ("sort=-name", "sort=name&line=red", "sort=built"):
        assert "query/cursor" in refusals(f"{other}&cursor={sealed}")
    assert "query/cursor" in refusals(f"sort=name&cursor={sealed}", route="/v1/boats")
    assert "query/cursor" in refusals(f"sort=name&cursor={sealed[:-2]}AA")
    assert "query/cursor" in refusals("sort=name&cursor=%00%ff")


def test_only_the_fields_that_were_asked_for_are_sent() -> None:
    ship = ShipOut(id=1, name="Aurora", yard=Yard(town="Turku", country="FI"))
    page = answer(Found((ship,), None, 1), ShipOut, ask("fields=name,yard.town&total=true"))
    assert getattr(page, "body") == b'{"items":[{"name":"Aurora","yard":{"town":"Turku"}}],"next":null,"total":1}'  # noqa: B009 - a response in disguise


def test_a_total_is_only_sent_when_it_was_asked_for() -> None:
    assert Listing[int](items=[1], next=None).model_dump() == {"items": [1], "next": None}


def test_a_nullable_column_is_no_order() -> None:
    with pytest.raises(ValueError, match="null"):
        Listable(key=Ship.id, sorts={"owner": Ship.owner})


def test_operators_follow_the_type_of_the_column() -> None:
    assert SHIPS.operators("line") == ("eq", "ne", "in")
    assert "gte" in SHIPS.operators("built")
    assert SHIPS.type_of("id") is int
    assert SHIPS.type_of("built") is not UUID
