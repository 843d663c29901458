"""A drill restores into a scratch database and finds what a count of bytes does not."""

import sqlite3
from contextlib import closing

import orjson

from ossature.kernel.backup import drill as drills
from tests.kernel.backup.conftest import Installation


async def test_a_drill_proves_rows_trail_and_files_and_writes_a_report(small: Installation) -> None:
    await small.record(5)
    await small.save(b"contract")
    manifest = await small.backups().create()

    found = await drills.drill(small.backups(), manifest)

    assert found == drills.last(small.backups())
    assert (found.faults, found.chains, found.entries, found.contents) == ((), 1, 5, 1)
    assert found.rows == manifest.rows
    assert found.rpo_s >= 0
    assert found.rto_s > 0
    (report,) = (small.backups().shelf.folder / "drills").glob("*.json")
    assert orjson.loads(report.read_bytes())["backup"] == manifest.name


async def test_a_trail_that_was_altered_before_the_backup_fails_the_drill(small: Installation) -> None:
    await small.record(3)
    with closing(sqlite3.connect(small.backups().database_file)) as live:
        guards = live.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'")
        for (name,) in guards.fetchall():
            live.execute(f'DROP TRIGGER "{name}"')
        live.execute("UPDATE audit_entry SET body = replace(body, 'key:1', 'key:9') WHERE seq = 2")
        live.commit()
    manifest = await small.backups().create()

    found = await drills.drill(small.backups(), manifest)

    assert await small.backups().verify(manifest) == []
    assert not found.passed
    assert any("row 2" in fault for fault in found.faults)


async def test_a_file_whose_content_is_missing_fails_the_drill(small: Installation) -> None:
    file = await small.save(b"contract")
    await small.files._blobs.erase(file.tenant_id, file.sha256)

    found = await drills.drill(small.backups(), await small.backups().create())

    assert [file.sha256 in fault for fault in found.faults] == [True]
