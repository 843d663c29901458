"""A short way through FastAPI for routes that need little of it: no body, no dependency but the context.

FastAPI's own handler prepares for every feature it has on each request, which costs four times what such a route needs
(20 us against 5, measured by `bench kernel-edge`). The rules are the same: the same fields validate parameters and
answers, with the same errors. Whatever needs more goes the long way.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from ossature.kernel.context import current

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_JSON = "application/json"


def hand_over_ctx(dependant: Dependant) -> None:
    """Have an endpoint given its `CurrentCtx` without the dependency solver, which costs more than the context itself."""
    endpoint = dependant.call
    mine = [child for child in dependant.dependencies if child.call is current and child.name is not None]
    if len(mine) != 1 or dependant.http_connection_param_name is not None or not inspect.iscoroutinefunction(endpoint):
        return
    name = dependant.http_connection_param_name = str(mine[0].name)
    dependant.dependencies.remove(mine[0])

    @functools.wraps(endpoint)
    async def with_ctx(**values: Any) -> Any:  # noqa: ANN401 - whatever the endpoint answers
        values[name] = values[name].scope["ossature.ctx"]
        return await endpoint(**values)

    dependant.call = with_ctx


def short_handler(route: APIRoute) -> Handler | None:
    """The handler of a route that needs little; None for one that needs more."""
    dependant = route.dependant
    endpoint = dependant.call
    if not _needs_little(route) or endpoint is None:
        return None
    path_fields, query_fields = dependant.path_params, dependant.query_params
    connection_name, request_name = dependant.http_connection_param_name, dependant.request_param_name
    write, status = _writer(route), route.status_code or 200

    async def handle(request: Request) -> Response:
        values: dict[str, Any] = {}
        if path_fields or query_fields:
            values, errors = request_params_to_args(path_fields, request.path_params)
            asked, faults = request_params_to_args(query_fields, request.query_params)
            if errors or faults:
                raise RequestValidationError([*errors, *faults])
            values.update(asked)
        if connection_name is not None:
            values[connection_name] = request
        if request_name is not None:
            values[request_name] = request
        answer = await endpoint(**values)
        return answer if isinstance(answer, Response) else Response(write(answer), status, media_type=_JSON)

    return handle


def _needs_little(route: APIRoute) -> bool:
    dependant = route.dependant
    more = (
        route.body_field,
        dependant.dependencies,
        dependant.body_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.response_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
        route.stream_item_field,
        route.response_model_include,
        route.response_model_exclude,
        route.response_model_exclude_unset,
        route.response_model_exclude_defaults,
        route.response_model_exclude_none,
        route.status_code in (204, 304),
    )
    plain = isinstance(route.response_class, DefaultPlaceholder) or route.response_class is JSONResponse
    return plain and not any(more) and inspect.iscoroutinefunction(dependant.call)


def _writer(route: APIRoute) -> Callable[[Any], bytes]:
    """Turns an answer into JSON: by its declared type, which also checks it, or as it is."""
    field, by_alias = route.response_field, route.response_model_by_alias
    if field is None:
        return lambda answer: orjson.dumps(answer, default=jsonable_encoder, option=orjson.OPT_NON_STR_KEYS)

    def write(answer: Any) -> bytes:  # noqa: ANN401 - whatever the endpoint answers
        value, errors = field.validate(answer, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=answer)
        return field.serialize_json(value, by_alias=by_alias)

    return write
