"""A backup is one moment of the whole installation, and the way back is taken whole or not at all."""

import asyncio
import os
import sqlite3
import tarfile
import threading
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import text

from ossature.kernel.backup import restoring, sqlite, state
from ossature.kernel.backup.domain import (
    BackupDamaged,
    BackupDoesNotFit,
    BackupIsRunning,
    BackupNotFound,
    DatabaseInUse,
    Manifest,
)
from ossature.kernel.backup.work import working
from tests.kernel.backup.conftest import SECRET, Installation


async def test_a_restore_brings_rows_files_and_secret_back(home: Installation) -> None:
    await home.record(3)
    kept = await home.save(b"a document" * 1000)
    manifest = await home.backups().create()
    await home.record(2)
    await home.files._blobs.erase(kept.tenant_id, kept.sha256)
    (home.var_dir / "secret_key").write_text("another")

    assert await home.backups().verify(manifest) == []
    done = await restoring.restore(home.backups(), manifest)

    assert await home.entries() == 3
    assert await home.read(kept) == b"a document" * 1000
    assert (home.var_dir / "secret_key").read_text() == SECRET
    assert (done.rows, done.files) == (manifest.rows, 3)


async def test_what_is_made_anew_by_itself_is_not_in_a_backup(home: Installation) -> None:
    backups = home.backups()
    await backups.create()
    manifest = await backups.create()  # the first backup is not in the second one

    with working(home.var_dir) as work:
        names = state.unpack(backups.opened(manifest, "state", work), work / "state")

    assert sorted(names) == ["var/secret_key", "var/sync/out/state.json"]


async def test_a_manifest_counts_rows_and_says_what_can_read_it(home: Installation) -> None:
    await home.record(4)

    manifest = await home.backups().create()

    assert manifest.tables["audit_entry"] == 4
    assert manifest.product == "0.1.0"
    assert manifest == Manifest.from_json(manifest.to_json()) == home.backups().shelf.manifest("latest")


async def test_a_backup_on_sqlite_is_one_moment_while_others_write(small: Installation) -> None:
    path = small.backups().database_file
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE pair (half INTEGER)")
        made.commit()
    over, written = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=30)) as live:
            while not over.is_set():
                with live:  # both halves or none
                    live.executemany("INSERT INTO pair VALUES (?)", [(1,), (2,)])
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        await asyncio.to_thread(written.wait)
        found = [(await small.backups().create()).tables["pair"] for _ in range(5)]
    finally:
        over.set()
        writer.join()

    assert [count % 2 for count in found] == [0] * 5
    assert found == sorted(found)
    assert found[0] > 0


@pytest.mark.parametrize("part", ["database", "state"])
async def test_a_backup_with_a_flipped_bit_is_named_and_nothing_is_restored(small: Installation, part: str) -> None:
    backups = small.backups()
    await small.record()
    manifest = await backups.create()
    await small.record()
    path = backups.shelf.path(manifest.name, manifest.parts[part].file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    (fault,) = await backups.verify(manifest)
    with pytest.raises(BackupDamaged, match=path.name):
        await restoring.restore(backups, manifest)

    assert path.name in fault
    assert await small.entries() == 2


async def test_a_backup_whose_rows_are_not_those_of_its_manifest_is_not_restored(home: Installation) -> None:
    backups = home.backups()
    await home.record(2)
    manifest = await backups.create()
    lying = Manifest(
        **{name: getattr(manifest, name) for name in manifest.__slots__}
        | {"tables": {**manifest.tables, "audit_entry": 3}}
    )
    await home.record(1)

    with pytest.raises(Exception, match="2 rows in place of 3"):
        await restoring.restore(backups, lying)

    assert await home.entries() == 3


async def test_a_backup_of_a_later_version_or_another_database_is_refused(small: Installation) -> None:
    backups = small.backups()
    manifest = await backups.create()
    values = {name: getattr(manifest, name) for name in manifest.__slots__}

    with pytest.raises(BackupDoesNotFit, match="9999"):
        await restoring.restore(backups, Manifest(**values | {"revision": "9999"}))
    with pytest.raises(BackupDoesNotFit, match="postgresql"):
        await restoring.restore(backups, Manifest(**values | {"database": "postgresql"}))


async def test_sqlite_that_somebody_has_open_is_not_replaced(small: Installation) -> None:
    manifest = await small.backups().create()
    await small.record()

    async with small.opened() as database, database.begin() as db:
        await db.all(text("SELECT name FROM sqlite_master"))
        with pytest.raises(DatabaseInUse):
            await asyncio.to_thread(sqlite.swap, small.var_dir / "secret_key", small.backups().database_file)

    assert await small.entries() == 1
    await restoring.restore(small.backups(), manifest)
    assert await small.entries() == 0


async def test_the_replaced_database_stays_beside(small: Installation) -> None:
    manifest = await small.backups().create()
    await small.record(5)

    await restoring.restore(small.backups(), manifest)

    file = small.backups().database_file
    assert sqlite.tables(file.with_name(file.name + ".replaced"))["audit_entry"] == 5


@pytest.mark.parametrize("harm", ["gone", "garbage"])
async def test_a_database_that_is_gone_or_garbage_is_restored_without_its_old_log(
    small: Installation, harm: str
) -> None:
    await small.record(2)
    manifest = await small.backups().create()
    file = small.backups().database_file
    log = file.with_name(f"{file.name}-wal")
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(os.urandom(8192))
    log.write_bytes(os.urandom(8192))

    await restoring.restore(small.backups(), manifest)

    assert await small.entries() == 2
    assert sqlite.faults(file) == []


async def test_one_backup_at_a_time_and_nothing_is_left_of_one_that_failed(small: Installation) -> None:
    backups = small.backups()
    with backups.shelf.drafting(), pytest.raises(BackupIsRunning):
        await backups.create()
    small.backups().database_file.write_bytes(b"no database at all" * 1000)

    with pytest.raises(sqlite3.DatabaseError):
        await backups.create()

    assert backups.shelf.names() == []
    assert [path.name for path in backups.shelf.folder.iterdir()] == [".lock"]
    assert list(small.var_dir.glob(".backup-*")) == []


async def test_the_next_one_clears_up_after_a_process_that_was_killed(small: Installation) -> None:
    backups = small.backups()
    left = backups.shelf.folder / ".draft-20260101T000000Z-aaaa"
    left.mkdir(parents=True)
    work = small.var_dir / ".backup-999999999-aaaa"
    work.mkdir()

    await backups.create()

    assert not left.exists()
    assert not work.exists()
    assert len(backups.shelf.names()) == 1


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "elsewhere/file", "var/../../outside"])
def test_a_file_that_leads_out_of_the_installation_is_refused(small: Installation, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "state.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, BytesIO(b"x"))

    def places() -> list[Path | None]:
        place = small.backups().state()
        return [place.place_of(one) for one in state.unpack(archive, tmp_path / "unpacked")]

    with pytest.raises(BackupDamaged):
        places()


def test_a_name_that_is_none_of_a_backup_leads_nowhere(small: Installation) -> None:
    for name in ("latest", "../../etc", "drills"):
        with pytest.raises(BackupNotFound):
            small.backups().shelf.manifest(name)


async def test_a_manifest_that_cannot_be_read_is_found_and_is_never_the_latest(small: Installation) -> None:
    backups = small.backups()
    good = await backups.create()
    bad = await backups.create()
    backups.shelf.path(bad.name, "manifest.json").write_text("{")

    assert backups.shelf.manifest("latest") == good
    assert sorted(backups.shelf.names()) == sorted([good.name, bad.name])
    with pytest.raises(BackupDamaged):
        backups.shelf.manifest(bad.name)


async def test_sqlite_is_never_written_as_sql(small: Installation) -> None:
    with pytest.raises(BackupDoesNotFit):
        await small.backups().create(plain=True)
