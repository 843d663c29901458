"""Bookings out of a file: kept, looked through without a trace, then booked whole or, if asked so, in its good rows.

A long file is booked in portions, so that others write meanwhile. Whatever ends that half-way (a crash, `kill -9`), the
next attempt books the rest: what has an external id that is known is left as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError, InvalidInput, Problem, Unavailable
from ossature.kernel.files.archive import FileNotFound, Files
from ossature.kernel.jobs import run as job
from ossature.kernel.service import Job
from ossature.services.dispatch.domain.batches import (
    Import,
    ImportHasFaults,
    ImportNotChecked,
    ImportNotFound,
    ImportState,
    RowFault,
)
from ossature.services.dispatch.domain.bookings import Booking, Client, GeocoderUnavailable, Origin
from ossature.services.dispatch.domain.imports import FileUnreadable, Order, read_csv
from ossature.services.dispatch.domain.places import Unplaced
from ossature.services.dispatch.domain.states import Party
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.store import bookings, people
from ossature.services.dispatch.store import imports as store
from ossature.services.dispatch.store.portions import portions
from ossature.services.dispatch.usecases.bookings import BookingWish, TripWish, addresses_of, draft, keep
from ossature.services.dispatch.usecases.clients import Meant
from ossature.services.dispatch.usecases.placing import Address, place_all
from ossature.services.dispatch.usecases.progress import open_job

PURPOSE: Final = "dispatch.import"
FILE_MOST_BYTES: Final = 10 * 1024 * 1024
_ATTEMPTS: Final = 4
_AT_ONCE: Final = 250
_BREATH: Final = 50
_FAULTS_MOST: Final = 20_000
_LOST: Final = "The work on it was given up; bring the file again."
_UNTOUCHED: Final = frozenset({ImportState.UPLOADED, ImportState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What a file comes to. made: bookings of its good rows, not kept yet. clients: who is new among theirs.

    faults: the first ones; faulty counts every row that has some.
    """

    rows: int
    known: int
    faulty: int
    faults: tuple[RowFault, ...]
    made: tuple[Booking, ...]
    clients: tuple[Client, ...]


async def upload(ctx: Ctx, content: AsyncIterator[bytes], *, name: str, requester: str = "") -> Import:
    """A file that is kept; a job looks through it. requester: for whom all of it is booked.

    Raises: FileTooLarge.
    """
    made = await keep_file(ctx, content, name=name, requester=requester)
    job_id = await ctx.enqueue(CHECK_IMPORT, {"import_id": str(made.id)})
    await store.change_import(ctx.db, ctx.tenant.id, made.id, job_id=job_id)
    return replace(made, job_id=job_id)


async def keep_file(ctx: Ctx, content: AsyncIterator[bytes], *, name: str, requester: str = "") -> Import:
    """A file that is kept for as long as the settings say. Raises: FileTooLarge."""
    file = await ctx.port(Files).save(
        ctx.db,
        ctx.tenant.id,
        content,
        name=name,
        purpose=PURPOSE,
        keep_until=ctx.now + timedelta(days=ctx.settings[DispatchSettings].import_keep_days),
        max_bytes=FILE_MOST_BYTES,
    )
    made = Import(
        id=clock.new_id(),
        name=file.name,
        sha256=file.sha256,
        file_id=file.id,
        requester=requester,
        state=ImportState.UPLOADED,
        job_id=None,
        partial=False,
        rows=0,
        known=0,
        faulty=0,
        booked=0,
        reason="",
        created_at=ctx.now,
        checked_at=None,
        applied_at=None,
    )
    await store.add_import(ctx.db, ctx.tenant.id, made)
    await ctx.audit("import.uploaded", f"import:{made.id}", sha256=made.sha256)
    return made


async def read_import(ctx: Ctx, import_id: UUID, *, hold: bool = False) -> Import:
    """A file. hold: nobody else changes it before this transaction ends. Raises: ImportNotFound."""
    found = await store.get_import(ctx.db, ctx.tenant.id, import_id, hold=hold)
    if found is None:
        raise ImportNotFound
    return found


async def check(ctx: Ctx, import_id: UUID) -> Import:
    """A file after it was looked through: what of it could be booked, and every fault of the rest. Nothing is booked.

    Raises: ImportNotFound, GeocoderUnavailable.
    """
    found = await read_import(ctx, import_id)
    if found.state in _UNTOUCHED:
        await _report(ctx, found)
    return await read_import(ctx, import_id)


async def request_apply(ctx: Ctx, import_id: UUID, *, partial: bool = False) -> Import:
    """A file whose bookings a job makes. partial: of its good rows, although others are faulty.

    While a job does so, asking again changes nothing. Raises: ImportNotFound, ImportNotChecked, ImportHasFaults.
    """
    async with ctx.db.step():
        found = await read_import(ctx, import_id, hold=True)
        _require_applicable(found, partial=partial)
        under_way = await open_job(ctx, found.job_id)
        if under_way is not None and under_way.name == APPLY_IMPORT.name:
            return found
        job_id = await ctx.enqueue(APPLY_IMPORT, {"import_id": str(import_id), "partial": partial})
        await store.change_import(ctx.db, ctx.tenant.id, import_id, job_id=job_id, partial=partial)
    return await read_import(ctx, import_id)


async def apply(ctx: Ctx, import_id: UUID, *, partial: bool = False) -> Import:
    """A file after its bookings were made, in portions; what was booked before, by external id, is left as it is.

    Raises: ImportNotFound, GeocoderUnavailable; ImportHasFaults when rows became faulty since it was looked through.
    """
    found = await read_import(ctx, import_id)
    if found.state is ImportState.APPLIED:
        return found
    looked = await _report(ctx, found)
    if looked is None:
        return await read_import(ctx, import_id)
    _require_applicable(await read_import(ctx, import_id), partial=partial)
    clients = {one.id: one for one in looked.clients}
    for some in portions(looked.made, _AT_ONCE):
        async with ctx.db.step():
            now = await read_import(ctx, import_id, hold=True)
            if now.state is not ImportState.CHECKED:
                return now  # somebody else was quicker
            booked = now.booked + await _keep(ctx, some, clients, requester=found.requester)
            await store.change_import(ctx.db, ctx.tenant.id, import_id, booked=booked)
    async with ctx.db.step():
        now = await read_import(ctx, import_id, hold=True)
        if now.state is ImportState.CHECKED:
            done = {"state": ImportState.APPLIED.value, "applied_at": ctx.now, "partial": partial}
            await store.change_import(ctx.db, ctx.tenant.id, import_id, **done)
            await ctx.audit("import.applied", f"import:{import_id}", booked=now.booked, faulty=looked.faulty)
    return await read_import(ctx, import_id)


async def _keep(ctx: Ctx, some: Sequence[Booking], clients: dict[UUID, Client], *, requester: str) -> int:
    """Keep those bookings that nobody has made since, with their clients; how many. clients: new ones, taken out once kept."""
    known = await _known(ctx, requester, [one.external_id or "" for one in some])
    made = [one for one in some if one.external_id not in known]
    new = dict.fromkeys(one.client_id for one in made if one.client_id in clients)
    await people.add_clients(ctx.db, ctx.tenant.id, [clients.pop(client_id) for client_id in new])
    await keep(ctx, made, Party.DISPATCHER)
    return len(made)


async def lose_import(ctx: Ctx, job_id: UUID) -> None:
    """The file that nobody has looked through when the job was given up has failed; one that is booked may be booked on."""
    await store.lose_import(ctx.db, ctx.tenant.id, job_id, reason=_LOST)


async def check_import(ctx: Ctx, import_id: str) -> str:
    """Look through a file; how it stands then. May run twice."""
    try:
        return (await check(ctx, UUID(import_id))).state.value
    except Unavailable as error:
        return await _give_up(ctx, import_id, error)


async def apply_import(ctx: Ctx, import_id: str, partial: bool) -> str:  # noqa: FBT001 - arguments of a job have names
    """Book a file; how it stands then. May run twice."""
    try:
        return (await apply(ctx, UUID(import_id), partial=partial)).state.value
    except ImportHasFaults:
        return ImportState.CHECKED.value
    except Unavailable as error:
        return await _give_up(ctx, import_id, error)


CHECK_IMPORT: Final = Job(name="dispatch.check_import", run=check_import, attempts=_ATTEMPTS, time_limit_s=3600)
APPLY_IMPORT: Final = Job(name="dispatch.apply_import", run=apply_import, attempts=_ATTEMPTS, time_limit_s=3600)


async def _give_up(ctx: Ctx, import_id: str, error: Problem) -> str:
    """The file has failed, unless there is an attempt left."""
    if job.current().attempt < _ATTEMPTS:
        raise error
    async with ctx.db.step():
        failed = {"state": ImportState.FAILED.value, "reason": error.slug}
        await store.change_import(ctx.db, ctx.tenant.id, UUID(import_id), **failed)
    return ImportState.FAILED.value


def _require_applicable(found: Import, *, partial: bool) -> None:
    if found.state not in {ImportState.CHECKED, ImportState.FAILED}:
        raise ImportNotChecked(f"It is {found.state}.", state=found.state.value)
    if found.faulty and not partial:
        raise ImportHasFaults(f"{found.faulty} of {found.rows} rows.", faulty=found.faulty)


async def _report(ctx: Ctx, found: Import) -> _Looked | None:
    """Look through a file and keep what is said of it; None when it cannot be read. Raises: GeocoderUnavailable."""
    try:
        looked = await _look(ctx, found)
    except (FileUnreadable, FileNotFound) as error:
        faults = _numbered((1, fault) for fault in getattr(error, "errors", ()))
        failed = {"state": ImportState.FAILED.value, "reason": (error.detail or error.title)[:500]}
        async with ctx.db.step():
            await store.change_import(ctx.db, ctx.tenant.id, found.id, **failed, checked_at=ctx.now)
            await store.set_faults(ctx.db, ctx.tenant.id, found.id, faults)
        return None
    async with ctx.db.step():
        now = await read_import(ctx, found.id, hold=True)
        if now.state is not ImportState.APPLIED:
            # What an attempt before this one has booked out of the same file is its own, and not known from elsewhere.
            known = max(0, looked.known - now.booked)
            told = {"rows": looked.rows, "known": known, "faulty": looked.faulty, "checked_at": ctx.now}
            checked = {"state": ImportState.CHECKED.value, "reason": ""}
            await store.change_import(ctx.db, ctx.tenant.id, found.id, **told, **checked)
            await store.set_faults(ctx.db, ctx.tenant.id, found.id, looked.faults)
    return looked


async def _look(ctx: Ctx, found: Import) -> _Looked:
    """What a file comes to. Raises: FileUnreadable, FileNotFound, GeocoderUnavailable."""
    files = ctx.port(Files)
    file = await files.get(ctx.db, ctx.tenant.id, found.file_id)
    content = b"".join([piece async for piece in files.read(file)])
    rows = await asyncio.to_thread(read_csv, content, zone=ctx.tenant.zone)
    known = await _known(ctx, found.requester, [row.order.external_id for row in rows if row.order is not None])
    new = [(row.number, row.order) for row in rows if row.order is not None and row.order.external_id not in known]
    faults = [(row.number, fault) for row in rows for fault in row.faults]
    meant = await Meant.by(ctx, [order for _, order in new])
    wanted: list[tuple[int, BookingWish, Client]] = []
    for number, order in new:
        client = meant.of(order)
        if isinstance(client, FieldError):
            faults.append((number, client))
        else:
            wanted.append((number, _wish(order, client, found.requester), client))
    places = await place_all(ctx, addresses_of([wish for _, wish, _ in wanted]))
    if Unplaced.UNAVAILABLE in places.values():
        raise GeocoderUnavailable
    made: list[Booking] = []
    for place, (number, wish, client) in enumerate(wanted):
        if place % _BREATH == 0:
            await asyncio.sleep(0)  # the process has others to answer
        try:
            made.append(await draft(ctx, wish, client, places))
        except InvalidInput as refused:
            faults += [(number, fault) for fault in refused.errors]
    return _Looked(
        rows=len(rows),
        known=len(known),
        faulty=len({number for number, _ in faults}),
        faults=_numbered(sorted(faults, key=lambda one: one[0])[:_FAULTS_MOST]),
        made=tuple(made),
        clients=tuple(meant.new),
    )


async def _known(ctx: Ctx, requester: str, external_ids: Sequence[str]) -> set[str]:
    """The external ids that are booked already."""
    names = [(requester, one) for one in external_ids]
    return {external_id for _, external_id in await bookings.bookings_called(ctx.db, ctx.tenant.id, names)}


def _wish(order: Order, client: Client, requester: str) -> BookingWish:
    """What a row asks for. The way back has the columns of the way there, the other way round."""
    columns = (("from", "to", "time"), ("to", "from", "return_time"))
    trips = [
        TripWish(
            origin=Address(label=wish.origin, pointer=columns[leg][0]),
            destination=Address(label=wish.destination, pointer=columns[leg][1]),
            time_rule=wish.time_rule,
            at=wish.at,
            day=order.day,
            requirement=order.requirement,
            pointer=columns[leg][2],
        )
        for leg, wish in enumerate(order.wishes)
    ]
    return BookingWish(
        client_id=client.id,
        trips=trips,
        requester=requester,
        payer=order.payer,
        origin=Origin.IMPORT,
        external_id=order.external_id,
        notes=order.notes,
    )


def _numbered(faults: Iterable[tuple[int, FieldError]]) -> tuple[RowFault, ...]:
    """Faults in their order. The column is the last part of a pointer."""
    return tuple(
        RowFault(
            position=position,
            row=row,
            column=fault.pointer.rpartition("/")[2][:60],
            message=fault.message[:500],
            code=fault.code[:60],
        )
        for position, (row, fault) in enumerate(faults)
    )
