"""Questions that a person writes as texts: `latitude=46.2 longitude=6.1`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_origin, get_type_hints

import msgspec

from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.outbound.operation import Operation


def question_of_texts(operation: Operation, texts: Mapping[str, str]) -> Any:  # noqa: ANN401 - the operation's own type
    """The question that these texts are; lists are written `a,b`. Raises: InvalidInput, naming the field."""
    hints = get_type_hints(operation.query)
    names = {each.name.removesuffix("_"): each.name for each in fields(operation.query)}
    unknown = [name for name in texts if name not in names]
    if unknown:
        allowed = ", ".join(names)
        errors = [
            FieldError(f"/{name}", f"There is no {name!r} here; allowed: {allowed}.", "unknown") for name in unknown
        ]
        raise InvalidInput(f"{operation.id} knows {allowed}.", errors=errors)
    values = {names[name]: text.split(",") if _is_list(hints[names[name]]) else text for name, text in texts.items()}
    try:
        return msgspec.convert(values, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{operation.id}: {error}.", errors=[FieldError("/", str(error), "invalid")]) from None


def _is_list(hint: Any) -> bool:  # noqa: ANN401 - an annotation
    return get_origin(hint) is list or any(get_origin(each) is list for each in getattr(hint, "__args__", ()))
