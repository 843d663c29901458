"""What services declare, written out as the rule files of Prometheus: `deploy/prometheus/*.rules.yml`.

`ossature rules write` makes them for an installation with other services; a law of the house holds those that are shipped.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ossature.kernel.errors import Misconfigured
from ossature.kernel.observe import levels
from ossature.kernel.observe.levels import Recorded
from ossature.kernel.service import Alert, Service

COMMAND: Final = "ossature rules write"
HOUSE: Final = "house"
RUNBOOK_URL: Final = "{{ $externalLabels.runbooks }}/"
"""Where the runbook is served is said once, by `external_labels` of prometheus.yml."""


JOB: Final = "exported_job"
"""What Prometheus calls our label `job`: that name is its own, of what it scrapes."""


def grew(counter: str, window: str, **labels: str) -> str:
    """PromQL: series of a counter that grew within the window; also those that came into being with their first count."""
    series = (
        f"{counter}{{{','.join(f'{name}={json.dumps(value)}' for name, value in labels.items())}}}"
        if labels
        else counter
    )
    return f"increase({series}[{window}]) > 0 or ({series} > 0 unless {series} offset {window})"


def died(job: str) -> str:
    """PromQL: a job of this name was given up within the last hour."""
    return f"sum by ({JOB}) ({grew('jobs_finished_total', '1h', outcome='dead', **{JOB: job})})"


def files(services: Sequence[Service]) -> dict[str, str]:
    """The generated rule files by their names. Raises: Misconfigured when two alerts share a name."""
    names = [alert.name for _, alert in everything(services)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Misconfigured(f"More than one alert is called {', '.join(twice)}.")
    return {
        "slo.rules.yml": "\n".join(_levels(services)) + "\n",
        "alerts.rules.yml": "\n".join(_alerts(services)) + "\n",
    }


def everything(services: Iterable[Service]) -> list[tuple[str, Alert]]:
    """All alerts with the names of the services that declare them; those about service levels are the house's."""
    declared = [(service.name, alert) for service in services for alert in service.alerts]
    return [*((HOUSE, alert) for alert in levels.alerts()), *declared]


def _levels(services: Sequence[Service]) -> Iterator[str]:
    yield "# How fast the service levels that services declare are used up. Windows of days are computed less often."
    yield from _head()
    yield from _group("slo-budgets", levels.budgets(services))
    yield from _group("slo-burn", levels.burning(levels.QUICK))
    yield from _group("slo-burn-slow", levels.burning(levels.SLOW), interval="2m")
    yield from _group("slo-alerts", ((HOUSE, alert) for alert in levels.alerts()))


def _alerts(services: Iterable[Service]) -> Iterator[str]:
    yield "# What services want an operator to be told. Each alert has a page in docs/runbook."
    yield from _head()
    for service in services:
        if service.alerts:
            yield from _group(service.name, ((service.name, alert) for alert in service.alerts))


def _head() -> Iterator[str]:
    yield f"# Written by `{COMMAND}`; do not edit."
    yield "# yamllint disable rule:line-length"
    yield "groups:"


def _group(name: str, rules: Iterable[Recorded | tuple[str, Alert]], *, interval: str = "") -> Iterator[str]:
    yield f"  - name: {name}"
    if interval:
        yield f"    interval: {interval}"
    yield "    rules:"
    for rule in rules:
        yield from _recorded(rule) if isinstance(rule, Recorded) else _alert(*rule)


def _recorded(rule: Recorded) -> Iterator[str]:
    yield f"      - record: {rule.name}"
    yield f"        expr: {_text(rule.expr)}"
    if rule.labels:
        yield f"        labels: {{{', '.join(f'{name}: {_text(value)}' for name, value in rule.labels)}}}"


def _alert(service: str, alert: Alert) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield f"        expr: {_text(alert.expr)}"
    yield f"        for: {alert.for_s}s"
    # Those about service levels have the label from the promise itself.
    yield f"        labels: {{severity: {alert.severity}{'' if service == HOUSE else f', service: {service}'}}}"
    yield "        annotations:"
    yield f"          summary: {_text(alert.summary)}"
    yield f"          runbook_url: {_text(f'{RUNBOOK_URL}{alert.runbook}.html')}"


def _text(value: str) -> str:
    """A scalar of YAML, quoted so that the least has to be escaped; what JSON writes is one too."""
    return f"'{value}'" if '"' in value and "'" not in value else json.dumps(value, ensure_ascii=False)
