"""Who could answer a question: every provider of the operation, with the reason why not where there is one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.breaker import BreakerKey
from ossature.kernel.outbound.credentials import Credential, Credentials
from ossature.kernel.outbound.judging import UNREADABLE
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.manifest import Manifest
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.policy import Candidate, Options
from ossature.kernel.outbound.provider import ErrorKind, Provider, Refusal
from ossature.kernel.outbound.quotas import Fullness
from ossature.kernel.outbound.takes import cost_microusd, units_of, windows

_NOBODY = Credential("none")
_MOST_WINDOWS = 10_000


class Candidates:
    """Finds and examines candidates. Both `ask` and `explain` use it, so that they agree."""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        credentials: Credentials,
        board: Board,
        fullness: Fullness,
        around: Surroundings,
    ) -> None:
        self._by_operation: dict[str, list[Provider]] = {}
        self._windows: dict[tuple[str, str, str], Sequence[WindowSpec]] = {}
        for provider in providers:
            for operation in provider.operations:
                self._by_operation.setdefault(operation, []).append(provider)
        self._credentials = credentials
        self._board = board
        self._fullness = fullness
        self._around = around

    def names(self, operation: Operation) -> list[str]:
        """Ids of the providers of an operation."""
        return [provider.id for provider in self._by_operation.get(operation.id, ())]

    async def of(self, operation: Operation, query: Any, options: Options, tenant_id: UUID) -> list[Candidate]:  # noqa: ANN401 - the operation's own type
        """Every candidate, refused ones included, in the order of the registry."""
        found: list[Candidate] = []
        for provider in self._by_operation.get(operation.id, ()):
            credentials = await self._credentials.for_(provider.manifest, tenant_id)
            for credential in credentials or (_NOBODY,):
                each = self._candidate(operation, provider, credential)
                self._examine(each, operation, query, options)
                found.append(each)
        eligible = [each for each in found if not each.refused]
        if len(eligible) > 1:  # one alone is asked whatever its windows say: its reservation decides
            await self._fullness.learn([window for each in eligible for window in each.windows])
        for each in eligible:
            each.plenty = self._fullness.plenty(each.windows)
            self._refuse_if_empty(each)
        return found

    def _candidate(self, operation: Operation, provider: Provider, credential: Credential) -> Candidate:
        key = BreakerKey(provider.id, operation.breaker_group, credential.id)
        health = self._board.health(key)
        return Candidate(
            provider=provider,
            credential=credential,
            codec=provider.codecs[operation.id],
            account=credential.account(self._around.contact),
            breaker=key,
            windows=self._windows_of(provider.manifest, operation, credential),
            success=health.success,
            ewma_ms=health.ewma_ms,
        )

    def _windows_of(self, manifest: Manifest, operation: Operation, credential: Credential) -> Sequence[WindowSpec]:
        """The windows that bind, made once: they are checked values, and asked for at every question."""
        key = (manifest.id, operation.id, credential.id)
        found = self._windows.get(key)
        if found is None:
            if len(self._windows) >= _MOST_WINDOWS:
                self._windows.clear()
            found = self._windows[key] = windows(manifest, operation.id, credential)
        return found

    def _examine(self, each: Candidate, operation: Operation, query: Any, options: Options) -> None:  # noqa: ANN401 - the operation's own type
        """Write down why a candidate cannot answer, if it cannot."""
        manifest = each.provider.manifest
        off = self._around.off.get(manifest.id)
        refused = (off, ErrorKind.POLICY) if off else next(_reasons(manifest, self._around.contact, options), None)
        if refused is None and each.credential is _NOBODY:
            each.missing = self._credentials.missing(manifest)
            refused = ("no usable credential", ErrorKind.AUTH)
        if refused is None and each.codec.accepts is not None:
            reason = each.codec.accepts(query)
            refused = (reason, ErrorKind.BAD_REQUEST) if reason else None
        if refused is None and not self._board.breaker(each.breaker).lets_through():
            each.retry_after_s = self._board.breaker(each.breaker).retry_after_s
            refused = ("its breaker is open", ErrorKind.CONNECT)
        if refused is None:
            each.cost_microusd = _expected_cost(each, operation, query, options)
            if options.max_cost_microusd is not None and each.cost_microusd > options.max_cost_microusd:
                refused = (f"it would cost {each.cost_microusd} microusd", ErrorKind.POLICY)
        if refused is not None:
            each.refused, each.kind = refused

    def _refuse_if_empty(self, each: Candidate) -> None:
        found = self._fullness.empty(each.windows)
        if found is not None:
            window, each.retry_after_s = found
            each.refused, each.kind = f"its {window.unit} are used up", ErrorKind.QUOTA


Reason = tuple[str, ErrorKind]
_Check = Callable[[Manifest, str, Options], Reason | None]


def _reasons(manifest: Manifest, contact: str, options: Options) -> Iterator[Reason]:
    for check in (_is_off, _is_left_out, _needs_contact, _is_forbidden):
        found = check(manifest, contact, options)
        if found is not None:
            yield found


def _is_off(manifest: Manifest, _contact: str, options: Options) -> Reason | None:
    if manifest.dead_reason:
        return manifest.dead_reason, ErrorKind.POLICY
    if not manifest.enabled_by_default and manifest.id not in (*options.only, *options.order):
        return "it answers only when it is asked for by name", ErrorKind.POLICY
    return None


def _is_left_out(manifest: Manifest, _contact: str, options: Options) -> Reason | None:
    if manifest.id in options.ignore or (options.only and manifest.id not in options.only):
        return "the request leaves it out", ErrorKind.POLICY
    if options.policy == "pinned" and manifest.id != options.order[0]:
        return f"the request is pinned to {options.order[0]}", ErrorKind.POLICY
    return None


def _needs_contact(manifest: Manifest, contact: str, _options: Options) -> Reason | None:
    if manifest.needs_contact and not contact:
        return "its usage policy wants a contact, and none is set", ErrorKind.AUTH
    return None


def _is_forbidden(manifest: Manifest, _contact: str, options: Options) -> Reason | None:
    if options.data_collection == "deny" and manifest.privacy.leaves and manifest.privacy.trains is not False:
        return "it may learn from what it is sent", ErrorKind.POLICY
    if options.commercial and not any(term.about == "commercial" and term.holds for term in manifest.terms):
        return "its terms do not allow commercial use, or do not say", ErrorKind.POLICY
    return None


def _expected_cost(each: Candidate, operation: Operation, query: Any, options: Options) -> int:  # noqa: ANN401 - the operation's own type
    """What the first call will cost; it is encoded for that only where anything has a price."""
    manifest = each.provider.manifest
    if manifest.is_free or each.codec.encode is None:
        return 0
    try:
        units = units_of(each.codec.encode(query, each.account))
    except (Refusal, *UNREADABLE):
        return 0
    return cost_microusd(manifest.prices, operation.id, units, model=options.model)
