"""What the cache counts. A hit costs an addition; the sums are handed over every 256 hits and at every slower step."""

from prometheus_client import Counter, Gauge

hits = Counter("cache_hits", "Answers found fresh.", ("cache", "level"))
misses = Counter("cache_misses", "Answers that had to be fetched.", ("cache",))
bypasses = Counter("cache_bypass", "Questions that went past the cache on purpose.", ("cache",))
stale = Counter("cache_stale", "Answers given past their freshness.", ("cache",))
evictions = Counter("cache_evictions", "Answers that made room in memory.", ("cache",))
faults = Counter("cache_faults", "Times that the second level could not be asked.", ("cache", "level"))
ratio = Gauge(
    "cache_hit_ratio", "Share of questions answered fresh from the cache.", ("cache",), multiprocess_mode="max"
)
size_bytes = Gauge("cache_memory_bytes", "Size of the first level.", ("cache",), multiprocess_mode="livesum")
