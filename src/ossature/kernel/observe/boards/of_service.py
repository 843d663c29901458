"""The dashboard of one service, made of what it declares: routes, promises, providers, jobs, facts."""

import json
import re
from collections.abc import Iterator

from ossature.kernel.observe.boards.grafana import Board, Panel, Row
from ossature.kernel.observe.boards.promql import (
    FAILS,
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
    ratio,
)
from ossature.kernel.observe.rules import JOB
from ossature.kernel.service import Service


def board(service: Service) -> Board:
    """The dashboard of a service."""
    rows = [_requests(service)]
    if service.slos:
        rows.append(_promises(service))
    if service.providers:
        rows.append(_providers(service))
    rows.append(_work(service))
    title, about = f"ossature / {service.name}", service.title
    return Board(service.name, title, about, tuple(rows), alerts=firing(service.name))


def paths(service: Service) -> str:
    """A regular expression of Prometheus for the routes of a service."""
    own = service.prefix or f"/v[0-9]+/{service.name}"
    mounted = (re.sub(r"([.+*?()\[\]{}|])", r"[\1]", mount.path.rstrip("/")) for mount in service.mounts)
    return f"({'|'.join(dict.fromkeys((own, *mounted)))})(/.*)?"


def _requests(service: Service) -> Row:
    of = f"endpoint=~{json.dumps(paths(service))}"
    failed = rate("http_requests_total", of=f'{of},status=~"5.."')
    times = "http_request_duration_seconds"
    return Row(
        "Requests",
        (
            flow("Requests by route", "Per second.", (rate("http_requests_total", "method", "endpoint", of=of), ROUTE)),
            flow(
                "Answers by status",
                "Per second. 4xx are refusals, 5xx are faults of ours.",
                (rate("http_requests_total", "status", of=of), "{{status}}"),
            ),
            lines(
                "Share that fails",
                "Of the answers, those with a status of 500 or more.",
                (ratio(failed, rate("http_requests_total", of=of)), "5xx"),
                unit="percentunit",
                levels=FAILS,
            ),
            quantiles(
                "Time of an answer", "From the first byte of the request to the last of the answer.", times, of=of
            ),
            lines(
                "p95 by route",
                "95 of 100 answers are not slower.",
                (quantile(0.95, times, "method", "endpoint", of=of), ROUTE),
                unit="s",
                width=16,
            ),
        ),
    )


def _promises(service: Service) -> Row:
    of = f'{{service="{service.name}"}}'
    return Row(
        "Service levels",
        (
            bars(
                "Budget left of 30 days",
                "What may still go wrong until the promise of 30 days is broken; below 0 it is.",
                f"1 - slo:burn:rate30d{of}",
                f"{ROUTE} {{{{objective}}}}",
                unit="percentunit",
                width=12,
                most=1,
                levels=LEFT,
            ),
            lines(
                "How fast the budget burns",
                "1 uses it up in exactly 30 days, 14.4 a fiftieth of it within an hour.",
                (f"slo:burn:rate1h{of}", f"{ROUTE} {{{{objective}}}}"),
                width=12,
            ),
        ),
    )


def _providers(service: Service) -> Row:
    names = "|".join(sorted(provider.id for provider in service.providers))
    of = f'provider=~"{names}"'
    cost = f"sum by (provider) (increase(outbound_cost_microusd_total{{{of}}}[1h])) / 1e6"
    name = "{{provider}}"
    return Row(
        "Providers",
        (
            flow("Attempts by provider", "Per second.", (rate("outbound_attempts_total", "provider", of=of), name)),
            flow(
                "Attempts by outcome",
                "How they ended, per second.",
                (rate("outbound_attempts_total", "outcome", of=of), "{{outcome}}"),
            ),
            lines(
                "p95 by provider",
                "95 of 100 attempts take no longer.",
                (quantile(0.95, "outbound_attempt_duration_seconds", "provider", of=of), name),
                unit="s",
            ),
            lines(
                "Under way",
                "Attempts that wait for an answer now.",
                (f"sum by (provider) (outbound_in_flight{{{of}}})", name),
            ),
            lines("Cost", "Of the attempts of the last hour.", (cost, name), unit="currencyUSD"),
            now(
                "Left alone",
                "How many providers are left alone after failures.",
                f"sum(outbound_breaker_open{{{of}}}) or vector(0)",
                "providers",
                levels=NONE,
                width=8,
            ),
        ),
    )


def _work(service: Service) -> Row:
    alerts = now(
        "Alerts",
        "How many alerts of this service fire now.",
        f"count({firing(service.name)}) or vector(0)",
        "fire",
        levels=NONE,
        width=8,
    )
    return Row("Work", (*_jobs(service), alerts, *_facts(service)))


def _jobs(service: Service) -> Iterator[Panel]:
    if not service.jobs:
        return
    of, job = f'{JOB}=~"{service.name}[.].*"', f"{{{{{JOB}}}}}"
    yield flow(
        "Jobs that ended",
        "Attempts per second, by how they ended.",
        (rate("jobs_finished_total", JOB, "outcome", of=of), f"{job} {{{{outcome}}}}"),
        unit="ops",
    )
    yield lines(
        "p95 of a job",
        "Of the last hour, 95 of 100 attempts took no longer.",
        (quantile(0.95, "jobs_seconds", JOB, of=of, window="1h"), job),
        unit="s",
    )


def _facts(service: Service) -> Iterator[Panel]:
    if not service.facts:
        return
    wires = "|".join(sorted(fact.wire.replace(".", "[.]") for fact in service.facts))
    told = rate("events_published_total", "fact", of=f'fact=~"{wires}"')
    yield flow("Facts", "What happened, per second.", (told, "{{fact}}"), unit="ops", width=24)
