"""The folder in which the processes of one machine share their figures.

`prometheus_client` keeps each process's figures in files of its own when PROMETHEUS_MULTIPROC_DIR is set before its first
import. The supervisor of `ossature serve` makes the folder, starts its children with that variable, and folds the files of
a child that ended into one, so that counters never go down and files do not pile up. Nothing here imports that library
at the top, since the supervisor needs none of its metrics.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ENDED = "ended"
_KINDS = ("counter", "histogram", "summary")


def folder_of(run_dir: Path) -> Path:
    """The folder of this supervisor, below the one of all. Those of supervisors that are gone are removed."""
    for other in run_dir.glob("metrics-*"):
        if not _is_there(int(other.name.rpartition("-")[2])):
            remove(other)
    return run_dir / f"metrics-{os.getpid()}"


def prepare(folder: Path) -> None:
    """Make an empty folder; what an earlier run left is removed."""
    remove(folder)
    folder.mkdir(parents=True, mode=0o700)


def remove(folder: Path) -> None:
    """Remove a folder with the figures in it."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, mode: int) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, mode)  # held for milliseconds only
        yield


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Keep the files as they are while they are read."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


def fold(folder: Path, pid: int) -> None:
    """Add the counters of a process that ended to those of all that ended before; its gauges are gone with it."""
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415 - see the module's docstring

    with _locked(folder, fcntl.LOCK_EX):
        for kind in _KINDS:
            source = folder / f"{kind}_{pid}.db"
            if not source.exists():
                continue
            # The library's file has no types.
            total: Any = MmapedDict(str(folder / f"{kind}_{ENDED}.db"))  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # the process was killed while it wrote: what is readable counts
                for key, value, _, _ in total.read_all_values_from_file(str(source)):
                    total.write_value(key, total.read_value(key)[0] + value, 0.0)
            total.close()
            source.unlink()
        for gauge in folder.glob(f"gauge_*_{pid}.db"):
            gauge.unlink(missing_ok=True)


def fold_dead(folder: Path) -> None:
    """Fold the files of every process that is no longer there."""
    pids = {path.stem.rpartition("_")[2] for path in folder.glob("*_*.db")} - {ENDED}
    for pid in map(int, pids):
        if not _is_there(pid):
            fold(folder, pid)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: it is there
        return True
    return True
