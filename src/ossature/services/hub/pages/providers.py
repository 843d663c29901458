"""Providers: how each does, what is left of its limits, and switching it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.parts import (
    Refreshed,
    Tone,
    button,
    chips,
    confirm,
    drawn,
    facts,
    lamp,
    link,
    meter,
    panel,
    tabs,
    tag,
    toast,
)
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words
from ossature.kernel.outbound.ledger.values import WindowState
from ossature.kernel.outbound.manifest import Evidence, Manifest
from ossature.services.hub.providers import PROVIDERS
from ossature.services.hub.usecases.providers import Allowance, Standing, allowances, find_provider, providers_standing
from ossature.services.hub.usecases.switching import Switchboard

WORDS = Words(
    "hub.providers",
    {
        "title": "Providers",
        "note": "Who answers for us: {usable} of {all} can be asked now.",
        "route": "Explain a route",
        "all": "All",
        "usable": "Ready",
        "open": "Breaker open",
        "half_open": "Being tried again",
        "off": "Switched off",
        "needs": "Needs a key",
        "cannot": "Not usable",
        "latency": "Latency",
        "not_asked": "not asked yet",
        "left": "{left} of {limit} {unit} left",
        "no_limit": "no limit that we know of",
        "operations": "Operations",
        "state": "State",
        "why": "Why",
        "missing": "Set to use it",
        "breakers": "Breakers",
        "error": "Last error",
        "limits": "Limits",
        "limits_note": "used, reserved and left, as the ledger counts them",
        "no_limits": "Nothing limits how often it may be asked, or no credential is there.",
        "per": "{limit} {unit} / {span}",
        "resets": "It opens {when}.",
        "runs_out": "At this pace used up at {when}.",
        "lasts": "Lasts until it opens again.",
        "idle": "Not used in this window.",
        "sheet": "Data sheet",
        "docs": "Documents",
        "licence": "Licence",
        "attribution": "Attribution",
        "region": "Region",
        "leaves": "What leaves the house",
        "evidence": "How we know",
        "terms": "Terms",
        "unknown": "unknown",
        "yes": "yes",
        "no": "no",
        "caching": "Caching",
        "commercial": "Commercial use",
        "redistribution": "Redistribution",
        "other": "Other",
        "how_docs": "read in its documentation, {day}",
        "how_recorded": "recorded from it, {day}",
        "how_live": "tried against it, {day}",
        "contract-tested": "with recorded answers",
        "untested": "not yet",
        "disabled": "switched off",
        "requests": "requests",
        "tokens": "tokens",
        "enable": "Switch on",
        "disable": "Switch off",
        "disable_sure": "Switch off {title}?",
        "disable_text": "It is no longer asked, for all tenants, in every process within a second.",
        "switched_on": "{title} is asked again",
        "switched_off": "{title} is no longer asked",
        "status": "Tested",
    },
)

_SCARCE, _LOW = 0.1, 0.3
_PERIODS_S: Mapping[str, float] = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000}


async def providers(visit: Visit) -> None:
    """Draw the list."""
    category = visit.query.get("category", "")
    shown: list[Standing] = []
    columns = _columns()
    known = sorted({operation.partition(".")[0] for each in PROVIDERS for operation in each.operations})
    async with visit.ctx("read:hub") as ctx:
        usable = sum(each.usable for each in await providers_standing(ctx, PROVIDERS))

    def actions() -> None:
        exports("providers", lambda: shown, columns)
        link(WORDS("route"), "/route", "o-button o-main")

    heading(WORDS("title"), note=WORDS("note", usable=usable, all=len(PROVIDERS)), actions=actions)
    tabs(
        [("", WORDS("all")), *((name, name) for name in known)],
        category,
        lambda name: f"/providers?category={name}" if name else "/providers",
    )

    async def draw() -> None:
        kept = [
            each for each in PROVIDERS if not category or any(o.startswith(f"{category}.") for o in each.operations)
        ]
        async with visit.ctx("read:hub") as ctx:
            shown[:] = sorted(await providers_standing(ctx, kept), key=lambda each: (not each.usable, each.provider.id))
            left = _tightest(await allowances(ctx, kept))
        with tag("div", cls="o-cards").style("margin-top: 16px"):
            for each in shown:
                _card(each, left.get(each.provider.id))

    await drawn(5.0, draw)


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Providers by name, or by what they answer."""
    if not text:
        return []
    async with visit.ctx("read:hub") as ctx:
        standing = await providers_standing(ctx, PROVIDERS)
    return [
        Hit(title=each.provider.manifest.title, note=state_of(each)[1], path=f"/providers/{each.provider.id}")
        for each in standing
        if fits(text, each.provider.id, each.provider.manifest.title, *each.provider.operations)
    ]


def state_of(standing: Standing) -> tuple[Tone, str]:
    """How a provider stands, as a lamp."""
    states = set(standing.breakers.values())
    if standing.status == "disabled":
        return "off", WORDS("off")
    if "open" in states:
        return "bad", WORDS("open")
    if "half_open" in states:
        return "warn", WORDS("half_open")
    if standing.missing:
        return "off", WORDS("needs")
    return ("good", WORDS("usable")) if standing.usable else ("warn", WORDS("cannot"))


def _tightest(found: Sequence[Allowance]) -> dict[str, WindowState]:
    """The window of each provider that is nearest to its end."""
    tight: dict[str, WindowState] = {}
    for each in found:
        known = tight.get(each.provider)
        if known is None or _share_left(each.state) < _share_left(known):
            tight[each.provider] = each.state
    return tight


def _share_left(state: WindowState) -> float:
    return state.remaining / state.limit if state.limit else 0.0


def _tone(share: float) -> Tone:
    return "bad" if share <= _SCARCE else "warn" if share <= _LOW else "good"


def _card(standing: Standing, window: WindowState | None) -> None:
    manifest = standing.provider.manifest
    faint = "" if standing.usable else " o-faint"
    with tag("a", cls=f"o-card{faint}", href=f"/console/providers/{manifest.id}"):
        with tag("div", cls="o-card-head"):
            tag("span", manifest.title, "o-cut")
            lamp(*state_of(standing))
        with tag("div"):
            chips(standing.provider.operations)
        if not standing.usable:
            tag("div", standing.why_not or standing.last_error, "o-dim")
            return
        with tag("div", cls="o-pair"):
            tag("span", WORDS("latency"))
            tag("span", WORDS("not_asked") if standing.ewma_ms is None else say.latency(standing.ewma_ms))
        if window is not None:
            share = _share_left(window)
            meter(share, tone=_tone(share))
            tag("div", _left(window), "o-dim o-mono")
        else:
            tag("div", WORDS("no_limit"), "o-dim")


def _left(state: WindowState) -> str:
    return WORDS("left", left=say.count(state.remaining), limit=say.count(state.limit), unit=_unit(state))


def _columns() -> list[Column[Standing]]:
    return [
        Column(WORDS("title"), lambda each: each.provider.id),
        Column(WORDS("state"), lambda each: state_of(each)[1]),
        Column(WORDS("operations"), lambda each: " ".join(each.provider.operations)),
        Column(WORDS("latency"), lambda each: "" if each.ewma_ms is None else say.milliseconds(each.ewma_ms)),
        Column(WORDS("why"), lambda each: each.why_not),
        Column(WORDS("missing"), lambda each: " ".join(each.missing)),
    ]


async def provider(visit: Visit, *, provider_id: str) -> None:
    """Draw one provider. Raises: ProviderUnknown."""
    found = find_provider(PROVIDERS, provider_id)
    places: list[Refreshed] = []

    async def switch(*, enabled: bool) -> None:
        title = found.manifest.title
        sure = enabled or await confirm(WORDS("disable_sure", title=title), WORDS("disable_text"), WORDS("disable"))
        if sure:
            async with visit.ctx("write:platform") as ctx:
                await ctx.port(Switchboard).switch(ctx, found, enabled=enabled)
            toast(WORDS("switched_on" if enabled else "switched_off", title=title), tone="good")
            await places[0].again()

    async def draw() -> None:
        async with visit.ctx("read:hub") as ctx:
            standing = (await providers_standing(ctx, [found]))[0]
            windows = await allowances(ctx, [found])
        with tag("div", cls="o-grid"):
            with panel(WORDS("state"), cls="o-w5", actions=lambda: _switch_button(visit, standing, switch)):
                _standing(standing)
            with panel(WORDS("limits"), note=WORDS("limits_note"), cls="o-w7"), tag("div", cls="o-stack"):
                if not windows:
                    tag("p", WORDS("no_limits"), "o-dim")
                for each in windows:
                    _window(visit, each, clock.now())
            with panel(WORDS("sheet"), cls="o-w5"):
                _sheet(found.manifest)
            with panel(WORDS("terms"), cls="o-w7"):
                _terms(found.manifest)

    heading(found.manifest.title, note=", ".join(found.operations), trail=[(WORDS("title"), "/providers")])
    places.append(await drawn(5.0, draw))


def _switch_button(visit: Visit, standing: Standing, switch: Callable[..., object]) -> None:
    if not visit.may("write:platform") or standing.provider.manifest.dead_reason:
        return
    enabled = standing.status != "disabled"

    async def press() -> None:
        await switch(enabled=not enabled)  # type: ignore[misc] # a coroutine function

    button(WORDS("disable" if enabled else "enable"), press, kind="danger" if enabled else "main", small=True)


def _standing(standing: Standing) -> None:
    said: list[tuple[str, str | Callable[[], object]]] = [
        (WORDS("state"), lambda: lamp(*state_of(standing))),
        (
            WORDS("latency"),
            WORDS("not_asked") if standing.ewma_ms is None else say.latency(standing.ewma_ms),
        ),
        (WORDS("status"), WORDS(standing.status)),
    ]
    if standing.why_not:
        said.append((WORDS("why"), standing.why_not))
    if standing.missing:
        said.append((WORDS("missing"), lambda: chips(standing.missing)))
    if standing.breakers:
        said.append(
            (WORDS("breakers"), lambda: chips(f"{group}: {state}" for group, state in standing.breakers.items()))
        )
    if standing.last_error:
        said.append((WORDS("error"), standing.last_error))
    facts(said)


def _window(visit: Visit, each: Allowance, now: datetime) -> None:
    state, share = each.state, _share_left(each.state)
    length = _length_s(state)
    with tag("div"):
        with tag("div", cls="o-pair"):
            tag("span", WORDS("per", limit=say.count(state.limit), unit=_unit(state), span=say.span(length)))
            tag("span", _left(state))
        meter(share, tone=_tone(share))
        tag("div", _forecast(visit, state, length, now), "o-dim")


def _length_s(state: WindowState) -> float:
    return state.window.seconds or _PERIODS_S.get(state.window.period or "", 86400.0)


def _forecast(visit: Visit, state: WindowState, length_s: float, now: datetime) -> str:
    """Whether what is left lasts until the window opens again, if it goes on being used as it was until now."""
    used = state.used + state.reserved + state.outside
    if not used or state.resets_at is None:
        return WORDS("idle")
    opens = WORDS("resets", when=say.ago(state.resets_at, now))
    to_go_s = max(0.0, (state.resets_at - now).total_seconds())
    passed_s = max(1.0, length_s - to_go_s)
    lasts_s = state.remaining / (used / passed_s)
    if lasts_s >= to_go_s:
        return f"{WORDS('lasts')} {opens}"
    return f"{WORDS('runs_out', when=say.clock_time(now + timedelta(seconds=lasts_s), visit.zone))} {opens}"


def _sheet(manifest: Manifest) -> None:
    evidence = manifest.evidence
    facts(
        [
            (
                WORDS("docs"),
                lambda: link(manifest.docs, manifest.docs) if manifest.docs else tag("span", WORDS("unknown")),
            ),
            (WORDS("licence"), manifest.licence or WORDS("unknown")),
            (WORDS("attribution"), manifest.attribution or say.NOTHING),
            (WORDS("region"), manifest.privacy.region or WORDS("unknown")),
            (WORDS("leaves"), lambda: chips(manifest.privacy.leaves or (say.NOTHING,))),
            (WORDS("evidence"), _evidence(evidence) if evidence is not None else WORDS("unknown")),
        ]
    )


def _evidence(evidence: Evidence) -> str:
    return WORDS(f"how_{evidence.how}", day=say.day(evidence.on))


def _unit(state: WindowState) -> str:
    """What a window counts, in the reader's words where it is one of the usual things."""
    unit = state.window.unit
    return WORDS(unit) if unit in WORDS.english else unit


def _terms(manifest: Manifest) -> None:
    answer = {True: WORDS("yes"), False: WORDS("no"), None: WORDS("unknown")}
    facts([(f"{WORDS(term.about)}: {answer[term.holds]}", term.text or say.NOTHING) for term in manifest.terms])
    for quirk in manifest.quirks:
        tag("p", quirk, "o-dim").style("margin-top: 8px")
