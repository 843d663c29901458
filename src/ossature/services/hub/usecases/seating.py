"""Where a chat request can be answered: seats in their order, and what each would be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from ossature.kernel.context import Ctx
from ossature.kernel.outbound.asking import encoded
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.breaker import BreakerKey
from ossature.kernel.outbound.credentials import Credential, Credentials
from ossature.kernel.outbound.engine import Engine
from ossature.kernel.outbound.occasion import Nothing, Occasion, Step
from ossature.kernel.outbound.policy import Candidate, Options
from ossature.kernel.outbound.provider import ErrorKind, Provider
from ossature.kernel.outbound.takes import windows
from ossature.services.hub.domain.chat import (
    DEFAULT_ALIASES,
    Catalogue,
    Chat,
    ChatRequest,
    Policy,
    Seat,
    wanted,
)
from ossature.services.hub.domain.tokens import DEFAULT_TOKENS_OUT, TokenBounds, size_bytes
from ossature.services.hub.ports import CHAT, ModelProvider
from ossature.services.hub.settings import HubSettings

# Prices of models are compared for an answer that is a third as long as its prompt.
_TYPICAL_TOKENS_IN, _TYPICAL_TOKENS_OUT = 3_000_000, 1_000_000


@dataclass(slots=True, kw_only=True)
class Course:
    """One request on its way. reasons: why seats were passed by. missing: settings that would help."""

    request: ChatRequest
    occasion: Occasion
    seats: Sequence[Seat]
    prompt_bytes: int
    limit_s: float
    reasons: list[Mapping[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def was_heard(self) -> bool:
        """Whether any real model was there to be asked: then an echo does not stand in for it."""
        return any(note.kind != ErrorKind.CONNECT for note in self.occasion.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One seat's turn."""

    course: Course
    seat: Seat
    candidate: Candidate
    chat: Chat

    @property
    def step(self) -> Step:
        """What is to be sent; nothing, where the answer is made here. Raises: Refusal."""
        if self.candidate.codec.compute is None:
            return encoded(self.candidate, self.chat)
        return Nothing(units={"requests": 1, **self.chat.units})


class Seating:
    """Knows the seats. One per process."""

    def __init__(
        self,
        engine: Engine,
        providers: Sequence[ModelProvider],
        *,
        board: Board,
        credentials: Credentials,
        settings: HubSettings,
    ) -> None:
        self._engine = engine
        self._board = board
        self._credentials = credentials
        self._time_limit_s = settings.chat_time_limit_s
        self._idle_s = settings.stream_idle_limit_s
        self._providers = {each.name: each for each in providers}
        self._candidates: dict[tuple[str, str, bool], Candidate] = {}
        self.token_bounds = TokenBounds()
        self.catalogue = Catalogue(
            {**DEFAULT_ALIASES, **settings.aliases}, {each.name: each.models for each in providers}
        )

    async def course(self, ctx: Ctx, request: ChatRequest) -> Course:
        """The seats that a request may be answered at, in its order. Raises: ModelNotFound, BadChat."""
        hub = request.hub
        seats = wanted(self.catalogue.seats(request.names), hub.provider)
        allowance = await self._engine.consumers.allowance(ctx, CHAT)
        limit_s = self._time_limit_s
        return Course(
            request=request,
            occasion=Occasion(
                request_id=ctx.id,
                tenant_id=ctx.tenant.id,
                operation=CHAT,
                options=Options(),
                consumer_windows=allowance.windows,
                project_id=allowance.project_id,
                key_id=allowance.key_id,
            ),
            seats=self._ordered(seats, hub.policy) if hub.policy else seats,
            prompt_bytes=size_bytes(request.fields),
            limit_s=min(limit_s, hub.deadline_ms / 1000) if hub.deadline_ms else limit_s,
        )

    async def turn(self, course: Course, seat: Seat) -> Turn | None:
        """A seat's turn; None when it cannot be asked now, with the reason written down."""
        known = self._providers[seat.provider]
        manifest = known.provider.manifest
        chat = self._chat(course, seat, known)
        reason = self._engine.exchange.around.off.get(manifest.id)
        if reason is None and manifest.transport == "local" and course.seats[0] != seat and course.was_heard:
            reason = "there are language models"
        if reason is None:
            credentials = await self._credentials.for_(manifest, course.occasion.tenant_id)
            if credentials:
                candidate = self._candidate(known.provider, credentials[0], stream=chat.stream)
                reason = self._why_not(candidate, chat)
                if reason is None:
                    return Turn(course=course, seat=seat, candidate=candidate, chat=chat)
            else:
                course.missing += self._credentials.missing(manifest)
                reason = "no usable credential"
        course.reasons.append({"model": str(seat), "reason": reason})
        return None

    def _why_not(self, candidate: Candidate, chat: Chat) -> str | None:
        accepts = candidate.codec.accepts
        reason = accepts(chat) if accepts is not None else None
        if reason is None and not self._board.breaker(candidate.breaker).lets_through():
            return "left alone for a while, after failures"
        return reason

    def _chat(self, course: Course, seat: Seat, known: ModelProvider) -> Chat:
        request, card = course.request, known.models.get(seat.model)
        most = request.max_tokens or (card.max_output_tokens if card is not None else None) or DEFAULT_TOKENS_OUT
        return Chat(
            model=seat.model,
            fields=request.fields,
            stream=request.stream,
            wants_usage=request.wants_usage,
            tokens_in=self.token_bounds.tokens_in(seat.model, course.prompt_bytes),
            tokens_out=most * request.choices,
        )

    def _candidate(self, provider: Provider, credential: Credential, *, stream: bool) -> Candidate:
        key = (provider.id, credential.id, stream)
        found = self._candidates.get(key)
        if found is None or found.credential != credential:
            manifest, limits = provider.manifest, provider.manifest.time_limits
            # The first byte of a whole answer comes when its last word is known.
            own = replace(limits, idle_s=self._idle_s) if stream else replace(limits, first_byte_s=limits.total_s)
            manifest = replace(manifest, time_limits=own)
            found = self._candidates[key] = Candidate(
                provider=replace(provider, manifest=manifest),
                credential=credential,
                codec=provider.codecs[CHAT.id],
                account=credential.account(self._engine.exchange.around.contact),
                breaker=BreakerKey(provider.id, CHAT.breaker_group, credential.id),
                windows=windows(manifest, CHAT.id, credential),
            )
        return found

    def _ordered(self, seats: Sequence[Seat], policy: Policy) -> Sequence[Seat]:
        """The seats as a policy puts them; equal ones stay in the order of the list."""
        if policy == "pinned":
            return seats[:1]
        return sorted(seats, key=lambda seat: self._rank(seat, policy))

    def _rank(self, seat: Seat, policy: Policy) -> float:
        card, provider = self.catalogue.card(seat), self._providers[seat.provider].provider
        match policy:
            case "free_first":
                return 0.0 if card is not None and card.is_free else 1.0
            case "cheap":
                cost = card.cost_microusd(_TYPICAL_TOKENS_IN, _TYPICAL_TOKENS_OUT) if card is not None else None
                return float("inf") if cost is None else cost
            case "fast":
                lately = (health.ewma_ms for key, _, health in self._board.states() if key.provider == provider.id)
                return min((ms for ms in lately if ms is not None), default=0.0)
            case "quality":
                return -float(provider.manifest.rank)
            case "pinned":
                return 0.0
            case _:
                assert_never(policy)
