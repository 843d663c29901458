"""Files as a part of the house: their table, settings and retention."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ossature.kernel.files import store
from ossature.kernel.files.archive import Files
from ossature.kernel.files.blobs import DiskBlobs
from ossature.kernel.files.s3 import open_bucket
from ossature.kernel.files.settings import FileSettings
from ossature.kernel.service import Every, Job, Personal, Service

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx
    from ossature.kernel.house import House

_BATCH = 500


def open_files(house: House) -> Files:
    """The files of a process, in the bucket of the settings, else on this machine's disk."""
    settings, var_dir = house.settings[FileSettings], house.settings.main.var_dir
    if settings.s3_bucket:
        return Files(open_bucket(settings, var_dir=var_dir), settings)
    folder = var_dir / settings.folder
    return Files(DiskBlobs(folder, level=settings.compression_level), settings)


async def erase_expired(ctx: Ctx) -> int:
    """Erase files whose time is over; how many. Runs across tenants."""
    files = ctx.port(Files)
    total = 0
    while True:
        async with ctx.db.step():
            gone = await files.erase_expired(ctx.db, limit=_BATCH)
        total += gone
        if gone < _BATCH:
            return total


ERASE_EXPIRED: Final = Job(
    name="files.erase_expired", run=erase_expired, every=Every(interval=timedelta(hours=1)), time_limit_s=3600
)


async def sweep(ctx: Ctx) -> int:
    """Erase contents that belong to no file; how many. Runs across tenants."""
    return await ctx.port(Files).sweep(ctx.db)


SWEEP: Final = Job(name="files.sweep", run=sweep, every=Every(interval=timedelta(days=1)), time_limit_s=3600)

service: Final = Service(
    name="files",
    title="Files",
    settings=(FileSettings,),
    tables=(store.FileRow,),
    jobs=(ERASE_EXPIRED, SWEEP),
    offers={Files: open_files},
    personal=(Personal("files_file.name", erase="delete_row", person="person_id"),),
)
