"""What nobody outside knows of N2F: every open question is a knob, and its first answer is the one in force."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, get_args, get_origin

Texts = Literal["none", "trim", "upper", "truncate"]


class KnobError(ValueError):
    """There is no such knob, or it has no such position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How the simulated N2F answers where its documents, as far as they are known, say nothing.

    expired: the status of an old token. echo: which fields of a user are given back. delete_used: what becomes of a value
    whose code stands in `used`. visibility_s: how long a write is not seen by readers. page_order: `first_again` gives the first page whatever is
    asked for. page_shift: at every so many
    reads of a list a record comes or goes in front. reject: keys that match this pattern are refused. drop_writes: so
    many writes are answered well and not carried out, as if the connection had broken before. truncate_to: for `normalise`.
    """

    error_body: Literal["json", "text", "html", "empty"] = "json"
    over_quota: Literal["429", "429_bare", "503"] = "429"
    quota_count: Literal["sliding", "fixed"] = "sliding"
    token_life_s: int = 3600
    expired: Literal["401", "403"] = "401"
    echo: Literal["all", "without_write_only", "minimal"] = "all"
    date_echo: Literal["Z", "none", "offset", "7_digits"] = "Z"
    names_order: Literal["sent", "reversed", "alphabetical", "extra_culture"] = "sent"
    blank_echo: Literal["null", "empty", "missing"] = "null"
    label_language: Literal["fr", "en", "nl"] = "fr"
    mail_case: Literal["kept", "lower", "title"] = "kept"
    omitted: Literal["keep", "blank"] = "keep"
    unknown_manager: Literal["accept", "400"] = "accept"
    delete_unknown: Literal["404", "200"] = "404"
    delete_used: Literal["409", "archive", "200"] = "409"
    used: tuple[str, ...] = ()
    overlap: Literal["409", "429", "serialise"] = "409"
    page_order: Literal["insertion", "alphabetical", "random", "first_again"] = "insertion"
    page_shift: int = 0
    page_end: Literal["empty", "absent"] = "empty"
    normalise: Texts = "none"
    truncate_to: int = 20
    visibility_s: int = 0
    reject: str = ""
    drop_writes: int = 0

    def turned(self, order: Mapping[str, Any]) -> Self:
        """The knobs with some of them in another position. Raises: KnobError, naming what is there."""
        kinds = {each.name: each.type for each in fields(self)}
        turned: dict[str, Any] = {}
        for name, value in order.items():
            if name not in kinds:
                raise KnobError(f"There is no knob {name!r}; there are {', '.join(kinds)}.")
            turned[name] = _position(name, kinds[name], value)
        return replace(self, **turned)


def _position(name: str, kind: Any, value: object) -> object:  # noqa: ANN401 - an annotation
    if kind is int:
        text = str(value)
        if isinstance(value, bool) or not text.isdecimal() or len(text) > len("1000000000"):
            raise KnobError(f"{name!r} is a whole number.")
        return int(text)
    if get_origin(kind) is Literal:
        if str(value) not in get_args(kind):
            raise KnobError(f"{name!r} is one of {', '.join(get_args(kind))}.")
        return str(value)
    if kind is str:
        return str(value)
    if isinstance(value, str):
        return tuple(part for part in value.split(",") if part)
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise KnobError(f"{name!r} is a list of texts.")
    return tuple(value)
