"""The envelope of an answer, what is noted on the way to it, and how it is kept in the cache."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AttemptNote:
    """One try, as it is shown: at whom, how it ended (`ok` or an error kind), how long it took."""

    provider: str
    credential: str
    kind: str
    ms: int
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of one window of the provider that answered, as far as it is known without asking."""

    unit: str
    limit: int
    remaining: int
    resets_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Where an answer comes from and what it took.

    cache: `hit`, `miss`, `stale` or `bypass`. as_of: when it was fetched. cost_microusd: of all attempts for it.
    """

    operation: str
    model_version: int
    provider: str
    attempts: tuple[AttemptNote, ...]
    cache: Literal["hit", "miss", "stale", "bypass"]
    stale: bool
    as_of: datetime
    latency_ms: float
    cost_microusd: int
    quota: tuple[Quota, ...]
    licence: str
    attribution: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The standard model of the operation, and its envelope. raw: the upstream's body, where it was asked for."""

    data: T
    meta: Meta
    raw: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[T]):
    """An answer as the cache holds it. missing: the upstream knows of none, in these words."""

    data: T | None
    provider: str
    licence: str = ""
    attribution: str = ""
    warnings: tuple[str, ...] = ()
    missing: str | None = None


class KeptPacking(Generic[T]):
    """Kept answers as bytes: the model by its own type, so that one of an older shape is not believed."""

    def __init__(self, result: Any) -> None:  # noqa: ANN401 - a type, or a union of types
        self._adapter: TypeAdapter[T] = TypeAdapter(result)

    def pack(self, value: Kept[T], /) -> bytes:
        """The bytes of a kept answer."""
        data = b"" if value.missing is not None else self._adapter.dump_json(value.data)  # type: ignore[arg-type] # set
        head = (value.provider, value.licence, value.attribution, value.warnings, value.missing)
        return msgspec.msgpack.encode((data, *head))

    def unpack(self, body: bytes, /) -> Kept[T]:
        """The kept answer of those bytes. Raises: ValueError when the shape has changed since."""
        try:
            data, provider, licence, attribution, warnings, missing = msgspec.msgpack.decode(body)
            found = None if missing is not None else self._adapter.validate_json(data)
        except (ValidationError, msgspec.MsgspecError) as error:
            msg = "kept in another shape"
            raise ValueError(msg) from error
        return Kept(
            data=found,
            provider=provider,
            licence=licence,
            attribution=attribution,
            warnings=tuple(warnings),
            missing=missing,
        )


@dataclass(frozen=True, slots=True)
class Considered:
    """One candidate as `explain` shows it: its score and the parts of it, or why it was refused."""

    provider: str
    credential: str
    score: float | None
    parts: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `ask` would do now: the candidates in the order in which they would be asked, then those refused."""

    operation: str
    policy: str
    candidates: Sequence[Considered]
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One attempt that ended, for whoever meters: what was used by whom, and what it cost."""

    attempt_id: UUID
    request_id: str
    tenant_id: UUID
    provider: str
    credential: str
    operation: str
    units: Mapping[str, int]
    cost_microusd: int
    outcome: str
    estimated: bool
    latency_ms: float
    at: datetime
    project_id: UUID | None = None
    key_id: UUID | None = None
