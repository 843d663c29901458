"""Verbs that ask a running server: the same answers and the same permissions as the API itself."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from ossature.kernel.cli.session import Session
from ossature.kernel.errors import Problem, UpstreamFailed

TIME_LIMIT_S = 30.0
REFUSED = 400


class ServerUnreachable(UpstreamFailed):
    """Nobody answers at the address that `--server` names."""

    title = "Server unreachable"


class ServerRefused(Problem):
    """The server said no; its own words are in the detail."""

    title = "Server refused"


async def call(
    session: Session, method: str, path: str, query: Mapping[str, str] | None = None, *, expect: tuple[int, ...] = ()
) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON answer of a server. expect: statuses that are no refusal although they are 400 or more.

    Raises: ServerUnreachable, ServerRefused.
    """
    headers = {"Authorization": f"Bearer {session.key}"} if session.key else {}
    limit = aiohttp.ClientTimeout(total=TIME_LIMIT_S)
    url = session.server.rstrip("/") + path
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, headers=headers) as client,
            client.request(method, url, params=query or {}, allow_redirects=False) as answer,
        ):
            body = await answer.json(content_type=None)
            status = answer.status
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise ServerUnreachable(f"{url}: {str(error) or type(error).__name__}") from error
    if status >= REFUSED and status not in expect:
        said = body if isinstance(body, dict) else {}
        raise ServerRefused(f"{status} {said.get('title', '')}: {said.get('detail', 'no detail')}")
    return body
