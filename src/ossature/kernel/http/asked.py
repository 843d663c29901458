"""The headers that the edge looks at, out of all that a request brings."""

from collections.abc import Iterable

_ASKED = frozenset(
    {
        b"x-request-id", b"traceparent", b"authorization", b"x-api-key", b"cookie", b"accept-encoding",
        b"content-length", b"origin", b"x-forwarded-for", b"user-agent", b"host", b"x-csrf-token",
        b"sec-fetch-site", b"signature-input", b"access-control-request-method", b"access-control-request-headers",
    }
)  # fmt: skip
_ONCE = frozenset({b"authorization", b"x-api-key", b"content-length", b"host", b"origin", b"x-csrf-token"})
# Of these several lines are one list (RFC 9110, 5.3); cookies are split by HTTP/2 (RFC 9113, 8.2.3).
_LISTS = {
    b"x-forwarded-for": b", ", b"accept-encoding": b", ", b"access-control-request-headers": b", ", b"cookie": b"; ",
    b"signature-input": b", ",
}  # fmt: skip


def headers_asked(brought: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], bytes]:
    """The headers that the edge asks for, and the name of one that must not be repeated and is; else empty."""
    found = [(name, value) for name, value in brought if name in _ASKED]
    headers = dict(found)
    return headers, b"" if len(headers) == len(found) else _joined(found, headers)


def _joined(found: Iterable[tuple[bytes, bytes]], headers: dict[bytes, bytes]) -> bytes:
    """Put the lines of lists together in `headers`; the name of a header that must not be repeated and is, or empty."""
    lines: dict[bytes, list[bytes]] = {}
    for name, value in found:
        lines.setdefault(name, []).append(value)
    twice = b""
    for name, values in lines.items():
        if len(values) > 1:
            if name in _LISTS:
                headers[name] = _LISTS[name].join(values)
            elif name in _ONCE:
                twice = name
    return twice
