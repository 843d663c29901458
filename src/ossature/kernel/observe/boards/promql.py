"""Expressions and panels that several dashboards are made of."""

from typing import Any, Final

from ossature.kernel.observe.boards.grafana import WINDOW, Panel, Query

ROUTE: Final = "{{method}} {{endpoint}}"
FAILS: Final = ((None, "green"), (0.01, "orange"), (0.05, "red"))
LEFT: Final = ((None, "red"), (0.1, "orange"), (0.25, "green"))
NONE: Final = ((None, "green"), (1.0, "red"))
"""From which value on a figure is drawn in which colour: shares that fail, budgets that are left, what should be none."""
_SHARES: Final = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))


def rate(metric: str, *by: str, of: str = "", window: str = WINDOW) -> str:
    """PromQL: a counter's growth per second, added up by these labels. of: which series of it."""
    grouped = f"sum by ({', '.join(by)})" if by else "sum"
    return f"{grouped} (rate({metric}{of and f'{{{of}}}'}[{window}]))"


def quantile(share: float, histogram: str, *by: str, of: str = "", window: str = WINDOW) -> str:
    """PromQL: the value that this share of the observations did not exceed."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', 'le', *by, of=of, window=window)})"


def ratio(part: str, whole: str) -> str:
    """PromQL: a share, 0 where there is no part of it, nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def lines(title: str, about: str, *queries: tuple[str, str], **look: Any) -> Panel:
    """Lines over time. queries: (expression, legend)."""
    return Panel(title, tuple(Query(*query) for query in queries), about, **look)


def flow(title: str, about: str, *queries: tuple[str, str], unit: str = "reqps", width: int = 8) -> Panel:
    """Rates that add up to a whole, on top of each other."""
    return lines(title, about, *queries, unit=unit, width=width, stacked=True)


def now(title: str, about: str, expr: str, legend: str, **look: Any) -> Panel:
    """The newest value, in large letters."""
    return Panel(title, (Query(expr, legend),), about, kind="stat", **{"width": 6, "height": 4, **look})


def bars(title: str, about: str, expr: str, legend: str, **look: Any) -> Panel:
    """The newest values of several series, one below the other."""
    return Panel(title, (Query(expr, legend),), about, kind="bargauge", **look)


def quantiles(title: str, about: str, histogram: str, *, of: str = "") -> Panel:
    """The three usual quantiles of a histogram of seconds, over all its series."""
    return lines(title, about, *((quantile(share, histogram, of=of), name) for name, share in _SHARES), unit="s")


def firing(service: str = "") -> str:
    """PromQL: the alerts that fire, of one service or of all."""
    return f'ALERTS{{alertstate="firing"{service and f",service={chr(34)}{service}{chr(34)}"}}}'
