"""Small pictures, drawn as SVG in the colours of the page."""

import html
from collections.abc import Callable, Sequence

_W, _H = 160.0, 30.0


def spark(values: Sequence[float], tone: str = "accent") -> str:
    """The course of a figure: a line over its own shadow, from the oldest to the newest."""
    if len(values) < 2 or not any(values):
        return f'<svg viewBox="0 0 {_W:g} {_H:g}" preserveAspectRatio="none" aria-hidden="true"><path d="M0 {_H - 1:g}H{_W:g}" stroke="var(--rule)" vector-effect="non-scaling-stroke"/></svg>'
    most = max(values) or 1.0
    step = _W / (len(values) - 1)
    points = [f"{place * step:.1f} {_H - 2 - value / most * (_H - 5):.1f}" for place, value in enumerate(values)]
    line = "L".join(points)
    return (
        f'<svg viewBox="0 0 {_W:g} {_H:g}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M{line}L{_W:g} {_H:g}L0 {_H:g}Z" fill="var(--{tone})" opacity=".12"/>'
        f'<path d="M{line}" fill="none" stroke="var(--{tone})" stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )


def ruler(
    marks: Sequence[tuple[float, str, str]], labels: Sequence[tuple[float, str]], *, title: str, height: int = 74
) -> str:
    """Moments on a line. marks: (place 0..1, tone, what it is); labels: (place 0..1, text)."""
    width = 1000.0
    base = height - 24
    parts = [f'<path d="M0 {base}H{width:g}" stroke="var(--rule)"/>']
    for place, text in labels:
        x = place * width
        anchor = "start" if place < 0.02 else "end" if place > 0.98 else "middle"
        parts.append(f'<path d="M{x:.1f} {base}v6" stroke="var(--rule)"/>')
        parts.append(f'<text x="{x:.1f}" y="{base + 19}" text-anchor="{anchor}">{html.escape(text)}</text>')
    stacked: dict[int, int] = {}
    for place, tone, what in marks:
        column = int(place * width / 8)
        level = stacked[column] = stacked.get(column, -1) + 1
        y = base - 7 - level * 8
        if y < 2:
            continue
        parts.append(
            f'<rect x="{place * width - 3:.1f}" y="{y - 3}" width="6" height="6" rx="1.5" fill="var(--{tone})">'
            f"<title>{html.escape(what)}</title></rect>"
        )
    return f'<svg class="o-pic" viewBox="-2 0 {width + 4:g} {height}" role="img" aria-label="{_attribute(title)}">{"".join(parts)}</svg>'


def strip(cells: Sequence[tuple[str, str]]) -> str:
    """A row of small tiles, the oldest first: (tone, what it is)."""
    tiles = "".join(f'<i class="o-{tone}" title="{_attribute(what)}"></i>' for tone, what in cells)
    return f'<div class="o-strip">{tiles}</div>'


def span_bar(parts: Sequence[tuple[float, str, str]]) -> str:
    """One bar made of stretches: (share 0..1, tone, what it is)."""
    x = 0.0
    out = []
    title = ", ".join(what for _, _, what in parts)
    for share, tone, what in parts:
        out.append(
            f'<rect x="{x * 1000:.1f}" y="0" width="{max(share * 1000, 2):.1f}" height="14" fill="var(--{tone})">'
            f"<title>{html.escape(what)}</title></rect>"
        )
        x += share
    return f'<svg class="o-pic" viewBox="0 0 1000 14" preserveAspectRatio="none" height="14" role="img" aria-label="{_attribute(title)}">{"".join(out)}</svg>'


def interval(
    rows: Sequence[tuple[str, float, tuple[float, float], str]],
    *,
    most: float,
    say: Callable[[float], str],
    title: str,
) -> str:
    """Figures with how sure they are, each on a line of its own: (name, value, (low, high), tone)."""
    width, height, left = 1000.0, 30 * len(rows) + 26, 160.0
    scale = (width - left - 20) / (most or 1.0)
    parts = [f'<path d="M{left} 0V{height - 24}" stroke="var(--rule)"/>']
    for line, (name, value, (low, high), tone) in enumerate(rows):
        y = 15 + 30 * line
        x, x0, x1 = (left + part * scale for part in (value, low, high))
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<path d="M{x0:.1f} {y}H{x1:.1f}" stroke="var(--{tone})" stroke-width="8" opacity=".3"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="var(--{tone})"/>')
    for place, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x = left + place * most * scale
        parts.append(
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}">{html.escape(say(place * most))}</text>'
        )
    return f'<svg class="o-pic" viewBox="0 0 {width:g} {height}" role="img" aria-label="{_attribute(title)}">{"".join(parts)}</svg>'


def _attribute(text: str) -> str:
    return html.escape(text, quote=True)
