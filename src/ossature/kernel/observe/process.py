"""Figures of the process itself, in every mode of `prometheus_client` (its own are missing when processes share)."""

import threading
from importlib.metadata import version
from typing import Protocol

import psutil
from prometheus_client import PROCESS_COLLECTOR, REGISTRY, Counter, Gauge

from ossature.kernel.observe import metrics

REGISTRY.unregister(PROCESS_COLLECTOR)

cpu_s = Counter("process_cpu_seconds", "User and system CPU time.")
memory_bytes = Gauge("process_resident_memory_bytes", "Resident memory.", multiprocess_mode="liveall")
open_files = Gauge("process_open_fds", "Open file descriptors.", multiprocess_mode="liveall")
threads = Gauge("process_threads", "Threads.", multiprocess_mode="liveall")
started = Gauge("process_start_time_seconds", "Unix time of the start.", multiprocess_mode="liveall")
build = Gauge("ossature_build_info", "1, with the version as a label.", ["version"], multiprocess_mode="livemax")

pool_size = Gauge("db_pool_size", "Database connections that may be open.", multiprocess_mode="livesum")
pool_in_use = Gauge("db_pool_in_use", "Database connections that are taken.", multiprocess_mode="livesum")


class Pool(Protocol):
    """A database's connections, as the database room counts them."""

    @property
    def size(self) -> int:
        """How many may be open."""

    @property
    def in_use(self) -> int:
        """How many are taken now."""


class Sampler:
    """Brings the figures of this process up to date before each scrape. Make one per process."""

    def __init__(self, pool: Pool | None = None) -> None:
        self._process = psutil.Process()
        self._pool = pool
        self._cpu_s = 0.0
        self._guard = threading.Lock()
        started.set(self._process.create_time())
        build.labels(version("ossature")).set(1)

    def install(self) -> None:
        """Have `sample` called before each scrape."""
        metrics.before_scrape(self.sample)

    def sample(self) -> None:
        """Read the figures now."""
        with self._guard, self._process.oneshot():
            times = self._process.cpu_times()
            used_s = times.user + times.system
            cpu_s.inc(max(0.0, used_s - self._cpu_s))
            self._cpu_s = used_s
            memory_bytes.set(self._process.memory_info().rss)
            threads.set(self._process.num_threads())
            if hasattr(self._process, "num_fds"):
                open_files.set(self._process.num_fds())
        if self._pool is not None:
            pool_size.set(self._pool.size)
            pool_in_use.set(self._pool.in_use)
