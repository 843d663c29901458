"""A provider's limits as windows of the ledger, and what one call takes from them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from ossature.kernel import clock
from ossature.kernel.outbound import decode
from ossature.kernel.outbound.credentials import Credential
from ossature.kernel.outbound.ledger.values import Take, WindowSpec
from ossature.kernel.outbound.manifest import Limit, LimitHeader, Manifest, Price
from ossature.kernel.outbound.provider import Clamp, Provider, Reply, Sending

_PERIOD_S = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0, "month": 2_592_000.0}
_DAY_S = 86_400.0
COST_UNIT = "microusd"


def windows(manifest: Manifest, operation: str, credential: Credential) -> list[WindowSpec]:
    """The windows that bind a call of this operation with this credential."""
    return [_window(manifest, limit, credential) for limit in manifest.limits if _binds(limit, operation, credential)]


def length_s(window: WindowSpec) -> float:
    """How long a window is; a month counts as thirty days."""
    return window.seconds if window.seconds is not None else _PERIOD_S[window.period or "day"]


def units_of(sending: Sending) -> dict[str, int]:
    """What a call will cost as far as it is known; every call is a request."""
    return {"requests": 1, **sending.units}


def takes_of(windows_: Sequence[WindowSpec], units: Mapping[str, int]) -> tuple[Take, ...]:
    """What these units take from those windows."""
    return tuple(Take(window, units[window.unit]) for window in windows_ if units.get(window.unit))


def cost_microusd(prices: Sequence[Price], operation: str, units: Mapping[str, int], *, model: str = "") -> int:
    """What units cost, rounded up per price."""
    return sum(
        -(-units.get(price.unit, 0) * price.microusd // price.per)
        for price in prices
        if price.operation in {"", operation} and price.model in {"", model}
    )


def clamps_of(provider: Provider, reply: Reply) -> list[Clamp]:
    """What the upstream says in its headers is left. Headers that are not understood say nothing."""
    found: list[Clamp] = []
    if provider.clamps is not None:
        with suppress(LookupError, TypeError, ValueError, ArithmeticError):
            found += provider.clamps(reply)
    for header in provider.manifest.limit_headers:
        try:
            remaining = decode.integer(reply.headers.get(header.remaining.lower()))
            if remaining is not None:
                reset_s = _reset_s(header, reply)
                resets_at = None if reset_s is None else clock.now() + timedelta(seconds=max(0.0, reset_s))
                found.append(Clamp(header.unit, header.per_s, max(0, remaining), resets_at))
        except (ValueError, TypeError, OverflowError):
            continue
    return found


def clamped_window(clamp: Clamp, windows_: Sequence[WindowSpec]) -> WindowSpec | None:
    """The window that an upstream meant: same unit, about the same length."""
    for window in windows_:
        if window.unit == clamp.unit and 0.9 <= length_s(window) / clamp.per_s <= 1.1:
            return window
    return None


def _reset_s(header: LimitHeader, reply: Reply) -> float | None:
    said = reply.headers.get(header.reset.lower()) if header.reset else None
    if header.reset_as == "seconds":
        return decode.number(said)
    if header.reset_as == "duration":
        return decode.duration_s(said)
    at = decode.epoch(said) if header.reset_as == "epoch_s" else decode.utc(said)
    return None if at is None else (at - clock.now()).total_seconds()


def _binds(limit: Limit, operation: str, credential: Credential) -> bool:
    if limit.operations and operation not in limit.operations:
        return False
    return limit.when == "always" or (limit.when == "keyed") == bool(credential.secrets)


def _window(manifest: Manifest, limit: Limit, credential: Credential) -> WindowSpec:
    scope = {"key": credential.id, "ip": "ip", "application": "app"}[limit.scope]
    subject = f"pool:{limit.pool}" if limit.pool else f"upstream:{manifest.id}:{scope}"
    if limit.operations:
        subject += f":{'+'.join(limit.operations)}"
    if limit.period is not None:
        return WindowSpec(
            subject=subject, unit=limit.unit, kind="fixed", limit=limit.limit, period=limit.period, zone=limit.zone
        )
    long = limit.kind in {"sliding", "log"} and (limit.per_s or 0) > _DAY_S
    kind = "fixed" if long else limit.kind
    return WindowSpec(
        subject=subject, unit=limit.unit, kind=kind, limit=limit.limit, seconds=limit.per_s, zone=limit.zone
    )
