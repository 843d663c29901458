"""Dashboards of Grafana, written from values: panels on a grid of 24 columns, and their JSON.

The schema is Grafana's own (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/),
version 39, which every Grafana since 10.3 reads. The foundation SDK of Grafana has one package for each of its versions,
numbered so that an installer takes the one for the oldest Grafana; these few shapes need no library.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

SCHEMA: Final = 39
TAG: Final = "ossature"
WIDTH: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WINDOW: Final = "$__rate_interval"
"""What Grafana puts in: a window of at least four scrapes, longer where a screen shows more time."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of PromQL. legend: the name of each series, with `{{label}}`."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of one or several queries.

    unit: as Grafana calls it (`reqps`, `s`, `percentunit`, `bytes`, `short`, `currencyUSD`). about: what it shows, for whoever
    reads it for the first time. width: columns of 24. levels: from which value on it is drawn in which colour.
    """

    title: str
    queries: tuple[Query, ...]
    about: str
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    stacked: bool = False
    most: float | None = None
    levels: tuple[tuple[float | None, str], ...] = ((None, "green"),)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. name: also that of its file and the end of its address. alerts: which of them are marked on its time axis."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    alerts: str = 'ALERTS{alertstate="firing"}'

    @property
    def queries(self) -> tuple[Query, ...]:
        """Everything that it asks of Prometheus."""
        return tuple(query for row in self.rows for panel in row.panels for query in panel.queries)


def document(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": f"{TAG}-{board.name}",
        "title": board.title,
        "description": board.about,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_SOURCES]},
        "annotations": {"list": [_marks(board.alerts)]},
        "links": [_LINKS],
        "panels": list(_panels(board.rows)),
    }


_SOURCES: Final = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "options": [],
    "current": {},
}
_LINKS: Final = {
    "type": "dashboards",
    "title": "ossature",
    "tags": [TAG],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
}


def _marks(alerts: str) -> Mapping[str, Any]:
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": alerts,
        "step": "60s",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{service}} {{method}} {{endpoint}} {{queue}} {{check}}",
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """The rows one below the other; panels from left to right, on a new line where one does not fit."""
    number = y = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
            "panels": [],
        }
        y += 1
        x = line = 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, line = 0, y + line, 0
            number += 1
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            yield {"id": number, "gridPos": place, **_picture(panel)}
            x, line = x + panel.width, max(line, panel.height)
        y += line


def _picture(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            "range": panel.kind == "timeseries",
            "instant": panel.kind != "timeseries",
        }
        for place, query in enumerate(panel.queries)
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
    }


def _field(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": colour} for value, colour in panel.levels]
    field: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.most is not None:
        field["max"] = panel.most
    if panel.kind == "timeseries":
        field["min"] = 0
        field["color"] = {"mode": "palette-classic"}
        field["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    else:
        field["color"] = {"mode": "thresholds"}
    return field


def _options(panel: Panel) -> dict[str, Any]:
    newest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "timeseries":
        return {
            "legend": {
                "showLegend": True,
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "stat":
        return {"reduceOptions": newest, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    return {"reduceOptions": newest, "displayMode": "basic", "orientation": "horizontal"}
