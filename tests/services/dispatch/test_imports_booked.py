"""Files of bookings, from the upload to the booked day: all or nothing, and nothing twice."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from ossature.kernel.jobs.domain import JobDead
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from ossature.services.dispatch.domain.imports import template
from ossature.services.dispatch.usecases import importing
from tests.services.dispatch.days import CLINIC, DEPOT, HOME, a_booking, a_client, a_trip, found

HEADING = "external_id;date;time;client_ref;last_name;first_name;birth_date;from;to;return_time"
DAY = "2031-03-03"
HOUSES = 40


def a_row(number: int, **changed: str) -> str:
    cells = {
        "external_id": f"A-{number}",
        "date": DAY,
        "time": "09:15",
        "client_ref": "",
        "last_name": f"Example {number}",
        "first_name": "Ada",
        "birth_date": "1950-03-02",
        "from": HOME["label"],
        "to": CLINIC["label"],
        "return_time": "",
        **changed,
    }
    return ";".join(str(cells[name]) for name in HEADING.split(";"))


def a_file(*rows: str) -> str:
    return "\r\n".join((HEADING, *rows)) + "\r\n"


@pytest.fixture(autouse=True)
async def known_places(http: httpx.AsyncClient) -> None:
    """Addresses of the files are on the map: nobody has to be asked."""
    await a_booking(http, await a_client(http, "known"), a_trip(3))


async def _uploaded(http: httpx.AsyncClient, worker: Worker, content: str | bytes, **query: str) -> dict[str, Any]:
    sent = content.encode() if isinstance(content, str) else content
    came = await http.post(
        "/v1/dispatch/imports", content=sent, params=query, headers={"content-type": "text/csv; charset=utf-8"}
    )
    assert (came.status_code, came.json()["state"]) == (202, "uploaded"), came.text
    await worker.run_due()
    checked: dict[str, Any] = found(await http.get(f"/v1/dispatch/imports/{came.json()['id']}"))
    return checked


async def _applied(http: httpx.AsyncClient, worker: Worker, one: dict[str, Any], **body: Any) -> dict[str, Any]:
    assert (await http.post(f"/v1/dispatch/imports/{one['id']}/apply", json=body)).status_code == 202
    await worker.run_due()
    ended: dict[str, Any] = found(await http.get(f"/v1/dispatch/imports/{one['id']}"))
    return ended


async def _faults(http: httpx.AsyncClient, one: dict[str, Any]) -> set[tuple[int, str, str]]:
    problems = found(await http.get(f"/v1/dispatch/imports/{one['id']}/problems"))["items"]
    return {(fault["row"], fault["column"], fault["code"]) for fault in problems}


async def _booked(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    items = found(await http.get("/v1/dispatch/bookings", params={"limit": 200}))["items"]
    return [one for one in items if one["origin"] == "import"]


def _counts(one: dict[str, Any]) -> tuple[int, int, int, int]:
    return one["rows"], one["known"], one["faulty"], one["booked"]


async def test_a_file_is_looked_through_then_booked_and_a_second_time_nothing_happens(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    content = a_file(a_row(1, return_time="11:30"), a_row(2), a_row(3, last_name="Example 2"))
    checked = await _uploaded(http, worker, content, name="monday.csv", requester="clinic-a")
    assert (checked["state"], checked["name"], _counts(checked)) == ("checked", "monday.csv", (3, 0, 0, 0))
    assert await _booked(http) == []

    applied = await _applied(http, worker, checked)

    assert (applied["state"], _counts(applied)) == ("applied", (3, 0, 0, 3))
    booked = {one["external_id"]: one for one in await _booked(http)}
    assert {one["requester"] for one in booked.values()} == {"clinic-a"}
    assert [trip["state"] for trip in booked["A-1"]["trips"]] == ["confirmed", "confirmed"]
    assert booked["A-2"]["client_id"] == booked["A-3"]["client_id"] != booked["A-1"]["client_id"]

    again = await _uploaded(http, worker, content, requester="clinic-a")
    assert _counts(again) == (3, 3, 0, 0)
    assert _counts(await _applied(http, worker, again)) == (3, 3, 0, 0)
    assert len(await _booked(http)) == 3
    assert (await http.post(f"/v1/dispatch/imports/{again['id']}/apply", json={})).status_code == 409


async def test_a_faulty_row_keeps_the_whole_file_out_unless_the_good_ones_are_asked_for(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    checked = await _uploaded(
        http,
        worker,
        a_file(
            a_row(1),
            a_row(2, date="2031-02-30"),
            a_row(3, client_ref="nobody", last_name=""),
            a_row(4, to=HOME["label"]),
            a_row(5, time=""),
        ),
    )

    assert _counts(checked) == (5, 0, 4, 0)
    assert await _faults(http, checked) == {
        (3, "date", "value_error"),
        (4, "client_ref", "unknown"),
        (5, "to", "same_place"),
        (6, "time", "missing"),
    }
    refused = await http.post(f"/v1/dispatch/imports/{checked['id']}/apply", json={})
    assert (refused.status_code, refused.json()["faulty"]) == (409, 4)
    assert await _booked(http) == []
    report = await http.get(f"/v1/dispatch/imports/{checked['id']}/problems.csv")
    assert report.text.splitlines()[0] == "row;column;message;code"
    assert len(report.text.splitlines()) == 5

    applied = await _applied(http, worker, checked, partial=True)

    assert (_counts(applied), applied["partial"]) == ((5, 0, 4, 1), True)
    assert [one["external_id"] for one in await _booked(http)] == ["A-1"]


async def test_a_client_is_the_one_of_that_reference_or_of_that_name(http: httpx.AsyncClient, worker: Worker) -> None:
    ada = {"last_name": "Twice", "first_name": "Ada"}
    for reference in ("T1", "T2"):
        found(await http.post("/v1/dispatch/clients", json={"reference": reference, **ada}))
    known = await a_client(http, "C7")

    rows = [a_row(1, client_ref="C7", last_name=""), a_row(2, last_name="Twice", birth_date="")]
    checked = await _uploaded(http, worker, a_file(*rows, a_row(3, client_ref="C8")))

    assert await _faults(http, checked) == {(3, "last_name", "ambiguous")}
    await _applied(http, worker, checked, partial=True)
    booked = {one["external_id"]: one["client_id"] for one in await _booked(http)}
    assert booked["A-1"] == known
    made = found(await http.get(f"/v1/dispatch/clients/{booked['A-3']}"))
    assert (made["reference"], made["last_name"], made["birth_date"]) == ("C8", "Example 3", "1950-03-02")


async def test_a_form_is_a_file_too(http: httpx.AsyncClient, worker: Worker) -> None:
    form = {"file": ("monday.csv", a_file(a_row(1)).encode("cp1252"), "text/csv")}
    came = found(await http.post("/v1/dispatch/imports", files=form))
    await worker.run_due()
    assert found(await http.get(f"/v1/dispatch/imports/{came['id']}"))["rows"] == 1

    lacking = await http.post("/v1/dispatch/imports", files={"other": ("a.csv", b"x", "text/csv")})
    assert (lacking.status_code, lacking.json()["errors"][0]["pointer"]) == (422, "/file")
    assert (await http.post("/v1/dispatch/imports", json={})).status_code == 422


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n\r\n",
        b"PK\x03\x04\x00\x00 a spreadsheet in its own format",
        "\ufeffexternal_id;date\n".encode("utf-16"),
        b'external_id;date;from;to\n"' + b"x" * 200_000,
        b"external_id;date;from;to\n" + b"1;2031-03-03;a;b\n" * 100_000,
    ],
    ids=["empty", "blank", "binary", "utf-16", "unclosed", "endless"],
)
async def test_what_is_no_table_fails_and_says_why(http: httpx.AsyncClient, worker: Worker, content: bytes) -> None:
    failed = await _uploaded(http, worker, content)

    assert (failed["state"], _counts(failed)) == ("failed", (0, 0, 0, 0))
    assert failed["reason"]


async def test_a_file_beyond_the_limit_is_not_taken(http: httpx.AsyncClient) -> None:
    sent = b"external_id;date;from;to\n" + b"1;2031-03-03;a;b\n" * 700_000

    refused = await http.post("/v1/dispatch/imports", content=sent, headers={"content-type": "text/csv"})

    assert refused.status_code == 413
    assert found(await http.get("/v1/dispatch/imports"))["items"] == []


async def test_a_formula_is_a_name_and_control_characters_are_none(http: httpx.AsyncClient, worker: Worker) -> None:
    rows = a_file(a_row(1, last_name="=1+1"), a_row(2, last_name="\u202ename"), a_row(3, last_name="x" * 101))
    checked = await _uploaded(http, worker, b"\xef\xbb\xbf" + rows.encode())

    assert await _faults(http, checked) == {(3, "last_name", "control_characters"), (4, "last_name", "too_long")}
    await _applied(http, worker, checked, partial=True)
    (booked,) = await _booked(http)
    assert found(await http.get(f"/v1/dispatch/clients/{booked['client_id']}"))["last_name"] == "=1+1"


async def test_many_rows_take_as_many_statements_as_a_few(http: httpx.AsyncClient, worker: Worker) -> None:
    # A job that sends alike statements over and over fails here (`db.repeat_limit`).
    rows = [a_row(n, last_name=f"Example {n % HOUSES}", **{"from": DEPOT["label"]}) for n in range(1, 1_201)]
    await a_booking(http, await a_client(http, "depot"), a_trip(3, **{"from": DEPOT}))

    applied = await _applied(http, worker, await _uploaded(http, worker, a_file(*rows)))

    assert (applied["state"], _counts(applied)) == ("applied", (1_200, 0, 0, 1_200))
    clients = found(await http.get("/v1/dispatch/clients", params={"limit": 200}))["items"]
    assert len(clients) == HOUSES + 2


async def test_an_import_that_is_broken_off_has_let_others_write_and_is_finished_without_doubling_anything(
    home: Home, http: httpx.AsyncClient, worker: Worker
) -> None:
    rows = [a_row(n, last_name=f"Example {n % HOUSES}") for n in range(1, 601)]
    checked = await _uploaded(http, worker, a_file(*rows))
    import_id = UUID(checked["id"])

    async def book() -> None:
        async with home.house.occasion(tenant=home.tenant) as ctx:
            await importing.apply(ctx, import_id)

    booking = asyncio.create_task(book())
    async with home.house.occasion(tenant=home.tenant) as ctx:
        while not booking.done() and not (await importing.read_import(ctx, import_id)).booked:
            await ctx.db.commit()  # what is read next is what is there then
            await asyncio.sleep(0)
    booking.cancel()
    await asyncio.wait([booking])

    half = found(await http.get(f"/v1/dispatch/imports/{import_id}"))
    assert half["state"] == "checked"
    assert 0 < half["booked"] < 600
    assert len(found(await http.get("/v1/dispatch/bookings", params={"limit": 200}))["items"]) == 200

    applied = await _applied(http, worker, half)
    assert (applied["state"], _counts(applied)) == ("applied", (600, 0, 0, 600))
    again = await _uploaded(http, worker, a_file(*rows))
    assert _counts(again) == (600, 600, 0, 0)
    clients = found(await http.get("/v1/dispatch/clients", params={"limit": 200}))["items"]
    assert len(clients) == HOUSES + 1


async def test_a_file_whose_job_was_given_up_says_so(home: Home, http: httpx.AsyncClient, worker: Worker) -> None:
    came = found(
        await http.post("/v1/dispatch/imports", content=a_file(a_row(1)), headers={"content-type": "text/csv"})
    )
    job_id = UUID(came["job_id"])
    async with home.house.database.begin() as db:  # the worker that declares a job dead publishes this fact
        await home.house.jobs.pause(db, home.tenant.id, job_id)
        dead = JobDead(job_id, importing.CHECK_IMPORT.name, importing.CHECK_IMPORT.queue, 4, "It took too long.")
        await home.house.outbox.record(db, dead, tenant_id=home.tenant.id)

    await worker.run_due()

    failed = found(await http.get(f"/v1/dispatch/imports/{came['id']}"))
    assert (failed["state"], bool(failed["reason"])) == ("failed", True)


async def test_asking_twice_books_once(http: httpx.AsyncClient, worker: Worker) -> None:
    checked = await _uploaded(http, worker, a_file(a_row(1)))

    asked = [found(await http.post(f"/v1/dispatch/imports/{checked['id']}/apply", json={})) for _ in range(2)]

    assert asked[0]["job_id"] == asked[1]["job_id"]


async def test_the_template_is_read_back(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/dispatch/imports/template.csv")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == template()


async def test_an_import_is_not_there_for_others(home: Home, http: httpx.AsyncClient, worker: Worker) -> None:
    one = await _uploaded(http, worker, a_file(a_row(1)))

    assert (await http.get("/v1/dispatch/imports/018f0000-0000-7000-8000-000000000000")).status_code == 404
    async with home.client(secret=None) as nobody:
        assert (await nobody.get(f"/v1/dispatch/imports/{one['id']}")).status_code == 401
