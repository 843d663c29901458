"""Charts with ECharts, drawn as SVG in the colours of the page, so that they follow the theme."""

from collections.abc import Sequence
from typing import Any

from nicegui import ui

# Widths of labels are measured on a canvas, which knows no variables: the font is named in full.
_TEXT = {"fontFamily": "'Plex Mono', 'DejaVu Sans Mono', monospace", "fontSize": 11, "color": "var(--dim)"}
_STILL = {"emphasis": {"disabled": True}, "showSymbol": False, "animation": False}


def stacked(times: Sequence[str], series: Sequence[tuple[str, str, Sequence[float]]], unit: str = "") -> ui.echart:
    """Bars on top of each other over time. series: (name, tone, values)."""
    drawn = [
        {
            "type": "bar",
            "stack": "all",
            "name": name,
            "data": list(values),
            "itemStyle": {"color": f"var(--{tone})"},
            "barCategoryGap": "18%",
            **_STILL,
        }
        for name, tone, values in series
    ]
    return _chart(times, drawn, unit)


def lines(times: Sequence[str], series: Sequence[tuple[str, str, Sequence[float | None]]], unit: str = "") -> ui.echart:
    """Lines over time. series: (name, tone, values); None leaves a gap."""
    drawn = [
        {
            "type": "line",
            "name": name,
            "data": _dotted(values),
            "lineStyle": {"color": f"var(--{tone})", "width": 1.75},
            "itemStyle": {"color": f"var(--{tone})"},
            "connectNulls": False,
            "smooth": 0.2,
            **_STILL,
            "showSymbol": True,
            "symbol": "none",
            "symbolSize": 5,
        }
        for name, tone, values in series
    ]
    return _chart(times, drawn, unit)


def _dotted(values: Sequence[float | None]) -> list[Any]:
    """The values of a line; one between two gaps is a dot, for a line begins with two."""
    beside = [None, *values, None]
    return [
        {"value": value, "symbol": "circle"} if value is not None and before is None and after is None else value
        for before, value, after in zip(beside, values, beside[2:], strict=False)
    ]


def _chart(times: Sequence[str], series: list[dict[str, Any]], unit: str) -> ui.echart:
    axis = {"axisLabel": _TEXT, "axisTick": {"show": False}, "axisLine": {"lineStyle": {"color": "var(--rule)"}}}
    options = {
        "animation": False,
        "grid": {"left": 4, "right": 8, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {
            "top": 0,
            "right": 0,
            "itemWidth": 10,
            "itemHeight": 10,
            "icon": "roundRect",
            "textStyle": _TEXT,
            "inactiveColor": "var(--rule)",
        },
        "tooltip": {
            "trigger": "axis",
            "backgroundColor": "var(--panel)",
            "borderColor": "var(--rule)",
            "textStyle": {"fontFamily": "var(--sans)", "fontSize": 12, "color": "var(--ink)"},
            "axisPointer": {"type": "line", "lineStyle": {"color": "var(--rule)"}},
        },
        "xAxis": {
            "type": "category",
            "data": list(times),
            "boundaryGap": series[0]["type"] == "bar" if series else True,
            **axis,
        },
        "yAxis": {
            "type": "value",
            "name": unit,
            "nameTextStyle": {**_TEXT, "align": "left"},
            "min": 0,
            "minInterval": 1 if series and series[0]["type"] == "bar" else 0,
            "splitNumber": 4,
            **axis,
            "axisLine": {"show": False},
            "splitLine": {"lineStyle": {"color": "var(--line)"}},
        },
        "series": series,
    }
    return ui.echart(options, renderer="svg").classes("o-chart")
