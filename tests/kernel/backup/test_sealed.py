"""Backups are sealed: they say nothing to whoever finds them, and the ring that opens them is not among them."""

from pathlib import Path

import pytest

from ossature.kernel.backup import drill as drills
from ossature.kernel.backup import restoring, state
from ossature.kernel.backup.domain import BackupDamaged
from ossature.kernel.backup.work import working
from ossature.kernel.crypto.ring import CannotOpen
from tests.kernel.backup.conftest import SECRET, Installation

SQLITE = b"SQLite format 3\0"
ZSTD = bytes.fromhex("28b52ffd")


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_nothing_readable_comes_to_the_disk_of_the_backups(small: Installation) -> None:
    await small.backups().create()

    written = every_byte(small.backups().shelf.folder)

    assert SQLITE not in written
    assert ZSTD not in written
    assert SECRET.encode() not in written


@pytest.mark.parametrize("sealed", [True, False])
async def test_the_ring_is_never_in_a_backup(small: Installation, sealed: bool) -> None:
    backups = small.backups(sealed=sealed)
    assert backups.ring.active
    manifest = await backups.create()

    with working(small.var_dir) as work:
        names = state.unpack(backups.opened(manifest, "state", work), work / "state")

    assert backups.ring_file.exists()
    assert [name for name in names if "keyring" in name] == []
    assert bool(manifest.key) is sealed
    assert await backups.verify(manifest) == []


async def test_an_older_key_still_opens_and_a_lost_ring_is_named(small: Installation) -> None:
    await small.record(2)
    manifest = await small.backups().create()
    backups = small.backups()
    backups.ring.rotate()
    later = await backups.create()
    await small.record(1)

    assert later.key != manifest.key
    await restoring.restore(small.backups(), manifest)
    assert await small.entries() == 2

    small.backups().ring_file.unlink()
    (fault,) = await small.backups().verify(manifest)
    with pytest.raises(CannotOpen, match=manifest.key):
        await restoring.restore(small.backups(), manifest)
    assert manifest.key in fault
    assert not (await drills.drill(small.backups(), manifest)).passed


async def test_a_part_of_another_backup_is_not_taken_for_it(small: Installation) -> None:
    backups = small.backups()
    older = await backups.create()
    await small.record(1)
    newer = await backups.create()
    part = newer.parts["database"]
    backups.shelf.path(newer.name, part.file).write_bytes(
        backups.shelf.path(older.name, older.parts["database"].file).read_bytes()
    )

    with working(small.var_dir) as work, pytest.raises(BackupDamaged, match="another place"):
        backups.opened(newer, "database", work)
    assert await backups.verify(newer) != []


def test_whoever_keeps_the_ring_beside_the_data_is_warned(small: Installation) -> None:
    assert small.backups().ring_is_at_risk
    assert not small.backups(sealed=False).ring_is_at_risk
