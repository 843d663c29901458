"""Bookings out of files: bring one, see what is wrong with it row by row, have it booked."""

from collections.abc import Callable
from uuid import UUID

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.calls import send_file, tell_refusal
from ossature.kernel.console.parts import (
    Refreshed,
    Tone,
    button,
    confirm,
    drawn,
    empty,
    facts,
    field,
    lamp,
    link,
    panel,
    tag,
    toast,
)
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import Found
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.jobs.domain import JobView
from ossature.services.dispatch.domain.batches import Import, ImportState, RowFault
from ossature.services.dispatch.pages.lists import Address, instant_in, number_in
from ossature.services.dispatch.store import imports as store
from ossature.services.dispatch.usecases.importing import APPLY_IMPORT, read_import, request_apply
from ossature.services.dispatch.usecases.progress import open_job

WORDS = Words(
    "dispatch.imports",
    {
        "title": "Import bookings",
        "note": "A CSV file is looked through first; nothing is booked until you say so. A row that was booked before is passed over.",
        "template": "Empty file to fill in",
        "bring": "Bring a file",
        "file": "CSV file, at most 10 MB",
        "requester": "Booked by",
        "requester_hint": "For whom all of it is booked; may stay empty.",
        "upload": "Look through it",
        "choose": "Choose a file first.",
        "files": "Files",
        "none": "No file came yet",
        "none_text": "Take the empty file, fill in a row for each booking, and bring it here.",
        "name": "File",
        "state": "State",
        "rows": "Rows",
        "known": "Booked before",
        "faulty": "Faulty",
        "good": "Can be booked",
        "booked": "Bookings made",
        "came": "Came",
        "checked": "Looked through",
        "applied": "Booked",
        "why": "Why",
        "looking": "Is looked through",
        "booking": "Is being booked",
        "ready": "Can be booked",
        "faults": "Has faults",
        "done": "Booked",
        "nothing": "Nothing to book",
        "failed": "Cannot be read",
        "faults_title": "What is wrong",
        "faults_file": "As a file",
        "clean": "No row is faulty.",
        "row": "Row",
        "column": "Column",
        "message": "What is wrong",
        "book": Message("Book one row", plural="Book {count} rows"),
        "book_good": Message("Book the one good row", plural="Book the {count} good rows"),
        "sure": "Book the good rows alone?",
        "sure_text": "The faulty ones are left out. Mend them and bring the file again: what is booked by then is passed over.",
        "book_sure": "Book them",
        "asked": "It is being booked",
    },
)


async def imports(visit: Visit) -> None:
    """Draw the list of files, and the way to bring one."""
    asked = Address(visit, "/dispatch/imports", ())
    columns = _columns(visit)

    def actions() -> None:
        link(WORDS("template"), "/v1/dispatch/imports/template.csv", "o-button")

    heading(WORDS("title"), note=WORDS("note"), actions=actions)

    async def draw() -> None:
        async with visit.ctx("import:bookings") as ctx:
            found = await store.list_imports(ctx.db, ctx.tenant.id, asked.query(instant_in))
        with panel(WORDS("files")):
            if found.items:
                table(found.items, columns)
                asked.pager(found.next)
            else:
                empty(WORDS("none"), WORDS("none_text"))

    with tag("div", cls="o-stack"):
        with panel(WORDS("bring")):
            _upload()
        await drawn(5.0, draw)


def _upload() -> None:
    with tag("div", cls="o-form"):
        with tag("label", cls="o-file"):
            tag("span", WORDS("file"), "o-dim")
            chosen = tag("input", type="file", accept=".csv,text/csv")
        requester = field(WORDS("requester"), hint=WORDS("requester_hint"))

        async def send() -> None:
            query = {"requester": requester.value.strip()[:100]}
            answer = await send_file(chosen, "/v1/dispatch/imports", "text/csv", query)
            if answer is None:
                toast(WORDS("choose"), tone="warn")
            elif answer.good:
                ui.navigate.to(f"/dispatch/imports/{answer.document['id']}")
            else:
                tell_refusal(answer)

        with tag("div"):
            button(WORDS("upload"), send, kind="main")


async def one_import(visit: Visit, *, import_id: UUID) -> None:
    """Draw one file. Raises: ImportNotFound."""
    asked = Address(visit, f"/dispatch/imports/{import_id}", ())
    async with visit.ctx("import:bookings") as ctx:
        first = await read_import(ctx, import_id)
    held: list[Refreshed] = []
    heading(first.name, trail=[(WORDS("title"), "/dispatch/imports")])

    async def book(partial: bool) -> None:  # noqa: FBT001 - pressed with one of two buttons
        if partial and not await confirm(WORDS("sure"), WORDS("sure_text"), WORDS("book_sure")):
            return
        async with visit.ctx("import:bookings") as ctx:
            asked_for = await request_apply(ctx, import_id, partial=partial)
        if asked_for.job_id is not None:
            visit.follow(asked_for.job_id, APPLY_IMPORT.name)
        toast(WORDS("asked"))
        await held[0].again()

    async def draw() -> None:
        async with visit.ctx("import:bookings") as ctx:
            found = await read_import(ctx, import_id)
            job = await open_job(ctx, found.job_id)
            faults = await store.list_faults(ctx.db, ctx.tenant.id, import_id, asked.query(number_in, key=number_in))

        def actions() -> None:
            if job is None and found.state is ImportState.CHECKED and found.good:
                key = "book_good" if found.faulty else "book"
                button(WORDS(key, count=found.good), lambda: book(bool(found.faulty)), kind="main")

        with tag("div", cls="o-stack"):
            with panel(WORDS("name"), actions=actions):
                facts(_facts(visit, found, job))
            _faults(asked, found, faults)

    held.append(await drawn(2.0, draw))


def _faults(asked: Address, found: Import, faults: Found[RowFault]) -> None:
    def take() -> None:
        link(WORDS("faults_file"), f"/v1/dispatch/imports/{found.id}/problems.csv", "o-button o-small")

    if found.state is ImportState.UPLOADED:
        return
    with panel(WORDS("faults_title"), actions=take if faults.items else None):
        if not faults.items:
            with tag("div", cls="o-calm"):
                lamp("good", WORDS("clean"))
            return
        table(faults.items, _fault_columns())
        asked.pager(faults.next)


def _fault_columns() -> list[Column[RowFault]]:
    return [
        Column(WORDS("row"), lambda one: str(one.row), tight=True),
        Column(WORDS("column"), lambda one: one.column, lambda one: tag("span", one.column, "o-mono"), tight=True),
        Column(WORDS("message"), lambda one: one.message),
    ]


def _facts(visit: Visit, found: Import, job: JobView | None) -> list[tuple[str, str | Callable[[], object]]]:
    zone = visit.tenant.zone
    said: list[tuple[str, str | Callable[[], object]]] = [
        (WORDS("state"), lambda: lamp(*_state(found, job))),
        (WORDS("rows"), say.count(found.rows)),
        (WORDS("good"), say.count(found.good)),
        (WORDS("known"), say.count(found.known)),
        (WORDS("faulty"), say.count(found.faulty)),
        (WORDS("booked"), say.count(found.booked)),
        (WORDS("came"), say.instant(found.created_at, zone)),
        (WORDS("checked"), say.instant(found.checked_at, zone)),
        (WORDS("applied"), say.instant(found.applied_at, zone)),
    ]
    if found.requester:
        said.append((WORDS("requester"), found.requester))
    if found.reason:
        said.append((WORDS("why"), found.reason))
    return said


def _state(found: Import, job: JobView | None) -> tuple[Tone, str]:
    if job is not None:
        return "busy", WORDS("looking" if found.state is ImportState.UPLOADED else "booking")
    if found.state is ImportState.UPLOADED:
        return "busy", WORDS("looking")
    if found.state is ImportState.APPLIED:
        return "good", WORDS("done")
    if found.state is ImportState.FAILED:
        return "bad", WORDS("failed")
    if found.faulty:
        return "warn", WORDS("faults")
    return ("info", WORDS("ready")) if found.good else ("off", WORDS("nothing"))


def _columns(visit: Visit) -> list[Column[Import]]:
    return [
        Column(WORDS("name"), lambda one: one.name, path=lambda one: f"/dispatch/imports/{one.id}"),
        Column(WORDS("state"), lambda one: _state(one, None)[1], lambda one: lamp(*_state(one, None)), tight=True),
        Column(WORDS("rows"), lambda one: say.count(one.rows), numeric=True),
        Column(WORDS("faulty"), lambda one: say.count(one.faulty), numeric=True),
        Column(WORDS("booked"), lambda one: say.count(one.booked), numeric=True),
        Column(WORDS("came"), lambda one: say.instant(one.created_at, visit.tenant.zone), numeric=True),
    ]
