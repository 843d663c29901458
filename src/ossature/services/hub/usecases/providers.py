"""What is known about providers: whether they can be asked, how they do, what is left of their limits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from ossature.kernel.context import Ctx
from ossature.kernel.errors import NotFound
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.breaker import BreakerState
from ossature.kernel.outbound.credentials import Credential, Credentials
from ossature.kernel.outbound.ledger.values import Ledger, WindowSpec, WindowState
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.provider import Provider
from ossature.kernel.outbound.takes import windows
from ossature.services.hub.ports import ModelProvider
from ossature.services.hub.store import Switch, switches

Status = Literal["contract-tested", "untested", "disabled"]


class ProviderUnknown(NotFound):
    """No provider has that name; `near` has the most alike."""

    title = "Provider unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a provider stands.

    status: `contract-tested` when every operation of it has passed the tests with a fixture, else `untested`; or
    `disabled`. usable: whether it can be asked now; why_not says what is in the way. missing: settings that would make
    it usable, never values. breakers: state by operation group. ewma_ms: how long good answers took lately.
    """

    provider: Provider
    status: Status
    usable: bool
    why_not: str
    missing: tuple[str, ...]
    credentials: tuple[str, ...]
    breakers: Mapping[str, str]
    ewma_ms: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """How full one window of a provider is."""

    provider: str
    credential: str
    operations: tuple[str, ...]
    state: WindowState


@cache
def contract_tested() -> Mapping[str, Mapping[str, str]]:
    """Operations by provider that passed the contract tests, and the day of it: written by those tests, never by hand."""
    text = files("ossature.services.hub").joinpath("data/contract_tested.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, dict[str, str]])


async def usable_names(ctx: Ctx, providers: Iterable[ModelProvider]) -> set[str]:
    """Names of the model providers that the caller's tenant has a credential for, or that need none."""
    known = ctx.port(Credentials)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    return {each.name for each in providers if await known.for_(each.provider.manifest, ctx.tenant.id)}


def find_provider(providers: Iterable[Provider], name: str) -> Provider:
    """The provider of that name. Raises: ProviderUnknown."""
    by_name = {provider.id: provider for provider in providers}
    if name not in by_name:
        raise ProviderUnknown(f"There is no provider {name!r}.", near=get_close_matches(name, by_name, n=3, cutoff=0.3))
    return by_name[name]


async def providers_standing(ctx: Ctx, providers: Sequence[Provider]) -> list[Standing]:
    """How each of these providers stands for the caller's tenant."""
    switched = {switch.provider: switch for switch in await switches(ctx.db)}
    return [await _standing(ctx, provider, switched.get(provider.id)) for provider in providers]


async def _standing(ctx: Ctx, provider: Provider, switch: Switch | None) -> Standing:
    manifest = provider.manifest
    known = ctx.port(Credentials)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    usable = await known.for_(manifest, ctx.tenant.id)
    states = [each for each in ctx.port(Board).states() if each[0].provider == provider.id]
    healths = [health for _, _, health in states]
    why_not = _why_not(ctx, provider, usable, switch)
    tested = contract_tested().get(provider.id, {})
    disabled = bool(manifest.dead_reason) or _is_off(provider, switch)
    passed = all(operation in tested for operation in provider.operations)
    return Standing(
        provider=provider,
        status="disabled" if disabled else "contract-tested" if passed else "untested",
        usable=not why_not and not any(state is BreakerState.OPEN for _, state, _ in states),
        why_not=why_not,
        missing=known.missing(manifest) if not usable else (),
        credentials=tuple(credential.id for credential in usable),
        breakers={key.group: str(state) for key, state, _ in states},
        ewma_ms=min((health.ewma_ms for health in healths if health.ewma_ms is not None), default=None),
        last_error=next((health.last_error for health in healths if health.last_error), ""),
    )


def _is_off(provider: Provider, switch: Switch | None) -> bool:
    return not (provider.manifest.enabled_by_default if switch is None else switch.enabled)


def _why_not(ctx: Ctx, provider: Provider, usable: Sequence[Credential], switch: Switch | None) -> str:
    manifest = provider.manifest
    if manifest.dead_reason:
        return manifest.dead_reason
    if _is_off(provider, switch):
        return switch.reason if switch is not None and switch.reason else "It is switched off."
    if not usable:
        return "A credential is missing."
    if manifest.needs_contact and not ctx.port(Surroundings).contact:
        return "Its usage policy asks for a contact: set OSSATURE_HUB_CONTACT."
    return ""


async def allowances(ctx: Ctx, providers: Sequence[Provider]) -> list[Allowance]:
    """How full the windows of these providers are, for the credentials that the caller's tenant may use."""
    found: dict[WindowSpec, tuple[str, str, tuple[str, ...]]] = {}
    known = ctx.port(Credentials)  # type: ignore[type-abstract] # as above
    ledger = ctx.port(Ledger)  # type: ignore[type-abstract] # as above
    for provider in providers:
        for credential in await known.for_(provider.manifest, ctx.tenant.id):
            for operation in provider.operations:
                for window in windows(provider.manifest, operation, credential):
                    _, _, others = found.get(window, ("", "", ()))
                    found[window] = (provider.id, credential.id, (*others, operation))
    states = await ledger.states(list(found)) if found else []
    return [Allowance(*found[state.window], state) for state in states]
