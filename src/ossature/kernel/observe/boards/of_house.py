"""The dashboards about everybody: what was promised, who pays, what it runs on."""

from collections.abc import Sequence
from typing import Final

from ossature.kernel.observe.boards.grafana import WINDOW, Board, Row
from ossature.kernel.observe.boards.promql import (
    LEFT,
    NONE,
    ROUTE,
    bars,
    firing,
    flow,
    lines,
    now,
    quantile,
    quantiles,
    rate,
)
from ossature.kernel.service import Service

_PAYER: Final = "{{project}} {{service}}"
_EACH: Final = "{{job}} {{instance}}"
_BY_PART: Final = (
    f'sum by (part) (label_replace(rate(http_requests_total{{endpoint=~"/v[0-9]+/.*"}}[{WINDOW}]),'
    ' "part", "$1", "endpoint", "/v[0-9]+/([^/]+).*"))'
)


def levels(services: Sequence[Service]) -> Board:
    """What services promise about their routes, and how much of it is left."""
    names = ", ".join(service.name for service in services if service.slos)
    about = f"What is promised about the routes of {names}, and how much of it is left."
    return Board("slo", "ossature / service levels", about, (_BUDGETS, _BURNS, _BREACHES, _TIMES))


_BUDGETS: Final = Row(
    "All promises",
    (
        bars(
            "Budget left of 30 days",
            "Of the route of each service that has used most of it. Below 0 the promise is broken.",
            "1 - max by (service, objective) (slo:burn:rate30d)",
            "{{service}} {{objective}}",
            unit="percentunit",
            width=12,
            height=12,
            most=1,
            levels=LEFT,
        ),
        now(
            "Budgets spent",
            "How many promises of 30 days are broken.",
            "count(slo:burn:rate30d >= 1) or vector(0)",
            "spent",
            levels=NONE,
        ),
        now("Promises", "Each route has three: latency, errors, availability.", "count(slo:budget:ratio)", "promises"),
    ),
)
_BURNS: Final = Row(
    "How fast the worst route of each service burns",
    tuple(
        lines(
            f"Within {window}",
            "1 uses the budget up in exactly 30 days.",
            (f"max by (service) (slo:burn:rate{window})", "{{service}}"),
        )
        for window in ("1h", "6h", "3d")
    ),
)
_BREACHES: Final = Row(
    "Breaches",
    tuple(
        flow(title, f"{about}, per second.", (rate(f"api_slo_{counter}_breach_total", "method", "endpoint"), ROUTE))
        for title, counter, about in (
            ("Too slow", "latency", "Answers slower than promised"),
            ("Failed", "error", "Answers with a status of 500 or more"),
            ("Away", "availability", "Answers with 502, 503 or 504"),
        )
    ),
)
_TIMES: Final = Row(
    "Times",
    (
        lines(
            "p95 of what has a promise",
            "95 of 100 answers are not slower.",
            (quantile(0.95, "api_slo_request_duration_seconds", "method", "endpoint"), ROUTE),
            unit="s",
            width=12,
        ),
        lines(
            "What was promised",
            "The p95 that each route may have.",
            ('max by (method, endpoint) (api_slo_target{objective="p95_s"})', ROUTE),
            unit="s",
            width=12,
        ),
    ),
)


_ANSWERS: Final = Row(
    "Answers of the outside world",
    (
        now(
            "Answers within an hour",
            "Those that were delivered.",
            "sum(increase(business_requests_total[1h]))",
            "answers",
        ),
        now(
            "Cost within an hour",
            "What outside systems charge for them.",
            "sum by (currency) (increase(business_cost_total[1h]))",
            "{{currency}}",
        ),
        now(
            "Projects",
            "How many have asked since the processes began.",
            "count(count by (project) (business_requests_total))",
            "projects",
        ),
        now(
            "Usage not written",
            "Events that no database would keep; each is in the log.",
            "sum(quotas_usage_unwritable_total)",
            "events",
            levels=NONE,
        ),
        flow(
            "Answers by project",
            "Per second.",
            (rate("business_requests_total", "project", "service"), _PAYER),
            width=12,
        ),
        flow(
            "Cost by project",
            "Of the last hour.",
            (
                "sum by (project, service, currency) (increase(business_cost_total[1h]))",
                f"{_PAYER} {{{{currency}}}}",
            ),
            unit="short",
            width=12,
        ),
        lines(
            "Cost of one answer",
            "Mean of the last hour.",
            ("project:business_cost_per_request:ratio1h", _PAYER),
            width=12,
        ),
        lines(
            "Return",
            "(value - cost) / cost since the processes began.",
            ("max by (project, service) (business_roi_ratio)", _PAYER),
            unit="percentunit",
            width=12,
        ),
    ),
)
_USED: Final = Row(
    "What is used",
    (
        flow(
            "Requests by part",
            "Answers per second, by the first word of the route.",
            (
                _BY_PART,
                "{{part}}",
            ),
        ),
        lines(
            "Refused by rate limits",
            "Requests per second that came too fast.",
            (f"{rate('quotas_rate_refused_total', 'rate')} or vector(0)", "{{rate}}"),
            unit="reqps",
        ),
        lines(
            "Usage events",
            "What is metered, per second.",
            (rate("quotas_usage_written_total"), "written"),
            unit="ops",
        ),
        flow(
            "Facts",
            "What happened, per second.",
            (rate("events_published_total", "fact"), "{{fact}}"),
            unit="ops",
            width=12,
        ),
        flow(
            "Webhooks",
            "Tries to deliver, per second.",
            (rate("webhooks_attempts_total", "outcome"), "{{outcome}}"),
            unit="ops",
            width=12,
        ),
    ),
)
BUSINESS: Final = Board(
    "business",
    "ossature / business",
    "Who asks for how much, what it costs and what it is worth.",
    (_ANSWERS, _USED),
)


_PROCESSES: Final = Row(
    "Processes",
    (
        now("Answer Prometheus", "How many addresses are read.", "sum by (job) (up)", "{{job}}"),
        now(
            "Versions", "One, unless a rollout is under way.", "count by (version) (ossature_build_info)", "{{version}}"
        ),
        now("Parts that are down", "See the checks below.", "sum(health_state == bool 2)", "parts", levels=NONE),
        now("Alerts", "All that fire now.", f"count({firing()}) or vector(0)", "fire", levels=NONE),
        lines("CPU", "Cores that are in use.", (rate("process_cpu_seconds_total", "job", "instance"), _EACH), width=6),
        lines(
            "Memory",
            "Of all processes behind an address.",
            ("sum by (job, instance) (process_resident_memory_bytes)", _EACH),
            unit="bytes",
            width=6,
        ),
        lines(
            "Files and threads",
            "What is open and what runs.",
            ("sum by (job, instance) (process_open_fds)", f"files {_EACH}"),
            ("sum by (job, instance) (process_threads)", f"threads {_EACH}"),
            width=6,
        ),
        lines(
            "Event loop late by",
            "How late a timer ran; above half a second everybody waits.",
            ("max by (job, instance) (event_loop_delay_seconds)", _EACH),
            unit="s",
            width=6,
        ),
    ),
)
_REQUESTS: Final = Row(
    "Requests",
    (
        flow("Answers by status", "Per second, of all routes.", (rate("http_requests_total", "status"), "{{status}}")),
        quantiles("Time of an answer", "Of all routes.", "http_request_duration_seconds"),
        lines(
            "Open now",
            "Requests that are being answered, and streams that are listened to.",
            ("sum(http_requests_in_progress)", "requests"),
            ("sum(http_streams_open) or vector(0)", "streams"),
        ),
    ),
)
_PARTS: Final = Row(
    "Parts",
    (
        bars(
            "Health",
            "0 is well, 1 is worth a look, 2 is down.",
            "max by (check) (health_state)",
            "{{check}}",
            most=2,
            levels=((None, "green"), (1.0, "orange"), (2.0, "red")),
        ),
        lines(
            "Database connections",
            "When all are taken, requests wait.",
            ("sum by (job, instance) (db_pool_in_use)", f"taken {_EACH}"),
            ("sum by (job, instance) (db_pool_size)", f"may be open {_EACH}"),
        ),
        lines(
            "Tried again",
            "Per second. Many mean that something outside is unwell.",
            (f"{rate('retries_total')} or vector(0)", "tried again"),
            (f"{rate('retries_given_up_total')} or vector(0)", "given up"),
            unit="ops",
        ),
    ),
)
_JOBS: Final = Row(
    "Jobs",
    (
        lines("Due", "Jobs that wait for a worker.", ("max by (queue) (jobs_waiting)", "{{queue}}"), width=6),
        lines(
            "Oldest wait",
            "How long the job has been due that waits for longest.",
            ("max by (queue) (jobs_oldest_wait_seconds)", "{{queue}}"),
            unit="s",
            width=6,
        ),
        lines(
            "p95 until begun",
            "From due to begun.",
            (quantile(0.95, "jobs_pickup_seconds", "queue"), "{{queue}}"),
            unit="s",
            width=6,
        ),
        flow(
            "Attempts by outcome",
            "Per second.",
            (rate("jobs_finished_total", "outcome"), "{{outcome}}"),
            unit="ops",
            width=6,
        ),
    ),
)
_MEMORY: Final = Row(
    "Caches and signals",
    (
        lines(
            "Answered by the cache",
            "Share of the questions.",
            ("cache:cache_hits:ratio5m", "{{cache}}"),
            unit="percentunit",
            most=1,
        ),
        lines("Memory of the cache", "Its first level.", ("sum(cache_memory_bytes)", "bytes"), unit="bytes"),
        lines(
            "Signals between processes",
            "Per second. When one is dropped, what another process remembers may be old.",
            (f"{rate('events_signals_sent_total')} or vector(0)", "sent"),
            (f"{rate('events_signals_received_total')} or vector(0)", "received"),
            ("sum(events_signals_dropped_total) or vector(0)", "dropped since the start"),
            unit="ops",
        ),
    ),
)
INFRASTRUCTURE: Final = Board(
    "infrastructure",
    "ossature / infrastructure",
    "The processes, the database, the queues and the caches.",
    (_PROCESSES, _REQUESTS, _PARTS, _JOBS, _MEMORY),
)
