"""What an operator is told about the house as a whole; rooms and services declare alerts of their own beside it."""

from typing import Final

from ossature.kernel.service import Alert

HOUSE: Final = (
    Alert(
        "ProcessGone",
        'up{job=~"ossature.*"} == 0',
        120,
        "critical",
        "{{ $labels.instance }} of {{ $labels.job }} does not answer Prometheus",
        "process-gone",
    ),
    Alert(
        "RequestsFail",
        'sum by (job) (rate(http_requests_total{status=~"5.."}[5m])) / sum by (job) (rate(http_requests_total[5m])) > 0.05'
        ' and sum by (job) (increase(http_requests_total{status=~"5.."}[5m])) >= 20',
        120,
        "critical",
        "{{ $value | humanizePercentage }} of all requests are answered with a status of 500 or more",
        "requests-fail",
    ),
    Alert(
        "PartDown",
        "max by (job, check) (health_state) == 2",
        180,
        "critical",
        "The part {{ $labels.check }} is down",
        "part-down",
    ),
    Alert(
        "PartDegraded",
        "max by (job, check) (health_state) == 1",
        1800,
        "warning",
        "The part {{ $labels.check }} has been degraded for half an hour",
        "part-down",
    ),
    Alert(
        "EventLoopLate",
        "max by (job, instance) (event_loop_delay_seconds) > 0.5",
        300,
        "warning",
        "The event loop of {{ $labels.instance }} is late by {{ $value | humanizeDuration }}",
        "event-loop-late",
    ),
    Alert(
        "MemoryGrows",
        "sum by (job, instance) (process_resident_memory_bytes) > 1.5e9"
        " and deriv(sum by (job, instance) (process_resident_memory_bytes)[6h:5m]) * 86400 > 5e8",
        3600,
        "warning",
        "{{ $labels.instance }} holds {{ $value | humanize1024 }}B and grows by more than half a gigabyte a day",
        "memory-grows",
    ),
    Alert(
        "DatabasePoolFull",
        "sum by (job, instance) (db_pool_in_use) >= sum by (job, instance) (db_pool_size) > 0",
        300,
        "warning",
        "All {{ $value }} database connections of {{ $labels.instance }} have been taken for five minutes",
        "database-pool-full",
    ),
    Alert(
        "CacheHitsFew",
        "sum by (cache) (rate(cache_hits_total[1h])) / (sum by (cache) (rate(cache_hits_total[1h]))"
        " + sum by (cache) (rate(cache_misses_total[1h]))) < 0.75"
        " and sum by (cache) (rate(cache_misses_total[1h])) > 0.1",
        3600,
        "digest",
        "Of the questions to the cache {{ $labels.cache }} only {{ $value | humanizePercentage }} are answered by it",
        "cache-hits-few",
    ),
    Alert(
        "SignalsDropped",
        "increase(events_signals_dropped_total[15m]) > 0",
        0,
        "warning",
        "{{ $labels.instance }} dropped signals to other processes: what it remembers may be old",
        "signals-dropped",
    ),
)
