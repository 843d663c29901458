"""The flags of the house as a provider of OpenFeature, for our own rooms and for every library that speaks it.

    from openfeature import api
    client = api.get_client("ossature")

An evaluation context says who asks: the targeting key, and the attributes `tenant_id`, `tenant`, `plan`, `roles`.
Source: openfeature.dev/specification, 2.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.flag_evaluation import Reason as Why
from openfeature.provider import AbstractProvider, Metadata
from openfeature.provider.no_op_provider import NoOpProvider

from ossature.kernel import clock
from ossature.kernel.tenants.flags.book import FlagBook
from ossature.kernel.tenants.flags.domain import Asker, Reason, decide

DOMAIN: Final = "ossature"
"""The name under which every library in this process finds the flags."""

WHY: Final[Mapping[Reason, Why]] = {
    "killed": Why.DISABLED,
    "rule": Why.TARGETING_MATCH,
    "share": Why.SPLIT,
    "same": Why.STATIC,
}

_T = TypeVar("_T")
_Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]
_NOBODY = NoOpProvider()


class HouseProvider(AbstractProvider):
    """Answers from the memory of this process. The metadata of an answer says whose flag it is, and its round."""

    def __init__(self, book: FlagBook) -> None:
        super().__init__()
        self._book = book

    def get_metadata(self) -> Metadata:
        """Its name."""
        return Metadata(name=DOMAIN)

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - as OpenFeature has it
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Yes or no."""
        return self._resolve(flag_key, default_value, bool, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A text."""
        return self._resolve(flag_key, default_value, str, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A whole number."""
        return self._resolve(flag_key, default_value, int, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A number."""
        return self._resolve(flag_key, default_value, float, evaluation_context)

    def resolve_object_details(
        self, flag_key: str, default_value: _Object, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[_Object]:
        """A JSON object."""
        return self._resolve(flag_key, default_value, dict, evaluation_context)

    def _resolve(
        self, name: str, default: _T, kind: type, context: EvaluationContext | None
    ) -> FlagResolutionDetails[_T]:
        asker = asker_of(context or EvaluationContext())
        found = self._book.find(asker.tenant_id, name)
        if found is None:
            return _failed(default, ErrorCode.FLAG_NOT_FOUND, f"There is no flag {name!r}.")
        owner_id, flag = found
        decision = decide(flag, asker)
        value: Any = decision.value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            return _failed(default, ErrorCode.TYPE_MISMATCH, f"The flag {name!r} answers with a {flag.kind}.")
        about: dict[str, bool | int | float | str] = {"owner_id": str(owner_id), "round": flag.round}
        if flag.goal is not None and decision.reason == "share":
            about |= {"goal": flag.goal, "subject": flag.key_of(asker)}
        return FlagResolutionDetails(
            cast("_T", value), variant=decision.variant, reason=WHY[decision.reason], flag_metadata=about
        )


class Registration:
    """Where OpenFeature finds a provider: by a name of its own, and as `ossature`, which is the newest one's."""

    def __init__(self, provider: HouseProvider) -> None:
        self._provider = provider
        self.domain = f"{DOMAIN}:{clock.new_id().hex}"
        for domain in (self.domain, DOMAIN):
            api.set_provider_and_wait(provider, domain)

    def close(self) -> None:
        """Answer nobody any more."""
        domains = [self.domain, *([DOMAIN] if api.get_client(DOMAIN).provider is self._provider else [])]
        for domain in domains:
            api.set_provider_and_wait(_NOBODY, domain)


def asker_of(context: EvaluationContext) -> Asker:
    """Who asks, as OpenFeature says it."""
    said = context.attributes
    roles = said.get("roles", ())
    return Asker(
        subject=context.targeting_key or "",
        tenant_id=_uuid(said.get("tenant_id")),
        tenant=str(said.get("tenant", "")),
        plan=str(said.get("plan", "")),
        roles=frozenset(str(role) for role in roles) if isinstance(roles, Sequence) else frozenset(),
    )


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value)) if value is not None else None
    except ValueError:
        return None


def _failed(default: _T, code: ErrorCode, message: str) -> FlagResolutionDetails[_T]:
    return FlagResolutionDetails(default, error_code=code, error_message=message, reason=Why.ERROR)
