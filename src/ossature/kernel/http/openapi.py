"""The OpenAPI 3.1 document: what FastAPI knows of routes, and what it cannot know."""

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ossature.kernel.http import versions
from ossature.kernel.http.examples import example_of
from ossature.kernel.http.route import HouseRoute, list_parameters
from ossature.kernel.service import Deprecation, Mount, Policy

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "A problem (RFC 9457) that the caller can mend.", "content": _PROBLEM},
    "5XX": {"description": "A problem (RFC 9457) on our side or behind us.", "content": _PROBLEM},
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Address of the page about this kind of problem."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "trace_id": {"type": "string"},
        "retry_after_s": {"type": "number"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message", "code"],
                "properties": {name: {"type": "string"} for name in ("pointer", "message", "code")},
            },
        },
    },
}
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key (`oss_...`) or an access token."},
    "session": {"type": "apiKey", "in": "cookie", "name": "ossature_session"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "With `Signature-Input`, by RFC 9421: a signing key of an API key stands for that key.",
    },
}
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def document(app: FastAPI, routes: Sequence[HouseRoute], mounts: Sequence[Mount]) -> dict[str, Any]:
    """The whole document."""
    found: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description="Errors are problem documents (RFC 9457); lists are `{items, next}`.",
        routes=app.routes,
    )
    paths: dict[str, Any] = found.setdefault("paths", {})
    for mount in mounts:
        for path, item in mount.openapi.items():
            paths[path] = {**paths.get(path, {}), **deepcopy(item)}  # the service's own stays as it is
            _tell_end(paths[path], item, mount.policy.deprecated)
            _secure(paths[path], mount.policy)
            _add_refusals(paths[path])
    for route in routes:
        item = paths.get(route.path_format)
        if item is None:
            continue
        for method in route.methods or ():
            operation = item.get(method.lower())
            if operation is not None:
                _complete(operation, route)
        _secure(
            {method.lower(): item[method.lower()] for method in route.methods or () if method.lower() in item},
            route.policy,
        )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM_SCHEMA
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["securitySchemes"] = _SECURITY
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                _exemplify(item[method], schemas)
                item[method]["x-codeSamples"] = _samples(method, path, item[method])
    return found


def _complete(operation: dict[str, Any], route: HouseRoute) -> None:
    parameters = list_parameters(route)
    if parameters:
        operation.setdefault("parameters", []).extend(parameters)
    _tell_end({"": operation}, [""], route.deprecation)
    responses = operation.get("responses", {})
    if "HTTPValidationError" in str(responses.get("422")):  # FastAPI's own, which is never sent
        del responses["422"]


def _tell_end(item: Mapping[str, Any], methods: Iterable[str], deprecation: Deprecation | None) -> None:
    if deprecation is not None:
        for method in methods:
            item[method].update(versions.told(deprecation))


def _exemplify(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """Give a body without an example one that is put together from its fields."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None and "example" not in content and "examples" not in content:
        content["example"] = example_of(content.get("schema", {}), schemas)


def _add_refusals(item: Mapping[str, Any]) -> None:
    for method in _METHODS:
        if method in item and "default" not in item[method]["responses"]:
            item[method]["responses"] |= {str(status): answer for status, answer in REFUSALS.items()}


def _secure(item: Mapping[str, Any], policy: Policy) -> None:
    for method in _METHODS:
        if method in item:
            operation = item[method]
            operation["security"] = [] if policy.public else [{name: []} for name in _proofs(policy)]
            operation["x-permission"] = policy.allow or "public"
            operation["x-rate"] = policy.rate


def _proofs(policy: Policy) -> Sequence[str]:
    return ("signature",) if policy.signed else ("key", "session")


def _samples(method: str, path: str, operation: Mapping[str, Any]) -> list[dict[str, str]]:
    """How the operation is called from a shell, from Python and from JavaScript."""
    body = _example(operation)
    url = f"$URL{path}"
    curl = f'curl -X {method.upper()} "{url}" -H "Authorization: Bearer $KEY"'
    python = f'requests.{method}(f"{{URL}}{path}", headers={{"Authorization": f"Bearer {{KEY}}"}}'
    script = f'await fetch(`${{URL}}{path}`, {{method: "{method.upper()}", headers: {{Authorization: `Bearer ${{KEY}}`'
    if body is not None:
        text = json.dumps(body)
        curl += f" -H 'Content-Type: application/json' -d '{text}'"
        python += f", json={body!r}"
        script += f', "Content-Type": "application/json"}}, body: JSON.stringify({text})}})'
    else:
        script += "}})"
    return [
        {"lang": "Shell", "label": "curl", "source": curl},
        {"lang": "Python", "label": "Python", "source": f"{python})"},
        {"lang": "JavaScript", "label": "JavaScript", "source": script},
    ]


def _example(operation: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    if "example" in content:
        return content["example"]
    examples = content.get("examples")
    if examples:
        return next(iter(examples.values())).get("value")
    return {}
