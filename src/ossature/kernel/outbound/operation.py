"""What can be asked of the outside world, whoever answers: the registry that providers and callers share."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One question or order, such as `weather.current`, with its standard shapes.

    kind: a `read` may be repeated and cached; a `write` has effects; a `job` is a write whose result comes later.
    query, result: the frozen types of question and answer. model_version: raised when `result` changes its meaning.
    ttl_s: how long an answer is fresh (None: never cached). stale_s: how long after that it is still better than
    nothing. revalidate_s: how long after that it is given at once while a new one is fetched behind it. negative_ttl_s: how long a "not found" is believed. scope: who may share a cached answer.
    fallback_on_empty: a "not found" of one provider says little, so the next one is asked. group: operations that
    share a breaker at one provider. time_limit_s: for all attempts together; None leaves it to the installation.
    """

    id: str
    query: type[Any]
    result: Any
    kind: Literal["read", "write", "job"] = "read"
    title: str = ""
    model_version: int = 1
    ttl_s: float | None = None
    stale_s: float = 0.0
    revalidate_s: float = 0.0
    negative_ttl_s: float = 0.0
    adaptive: bool = False
    single_flight: bool = True
    scope: Literal["public", "tenant"] = "public"
    fallback_on_empty: bool = False
    cost_class: str = "default"
    group: str = ""
    time_limit_s: float | None = None
    tags: tuple[str, ...] = ()

    @property
    def category(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def breaker_group(self) -> str:
        """What its breaker is called."""
        return self.group or self.category
