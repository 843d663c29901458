"""Compression of answers: zstd, brotli or gzip, as the client prefers."""

import asyncio
import sys
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Headers = list[tuple[bytes, bytes]]

# In a thread above this: the compressors let go of the interpreter while they work.
_THREAD_ABOVE_BYTES = 64 * 1024
_OURS = (b"zstd", b"br", b"gzip")
_ALREADY_SMALL = (b"image/", b"video/", b"audio/", b"font/", b"application/zip", b"application/gzip", b"application/pdf",
                  b"application/octet-stream", b"application/zstd", b"multipart/", b"text/event-stream")  # fmt: skip
_TEXT_IMAGES = (b"image/svg+xml",)
_NO_BODY = frozenset({204, 205, 206, 304})


class Stream(Protocol):
    """A compressor that is fed piece by piece."""

    def feed(self, piece: bytes, *, last: bool) -> bytes:
        """What can be sent now; all that is left when it was the last piece."""


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.compressobj(4, zlib.DEFLATED, 31)

    def feed(self, piece: bytes, *, last: bool) -> bytes:
        return self._inner.compress(piece) + self._inner.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Compressor(quality=4)

    def feed(self, piece: bytes, *, last: bool) -> bytes:
        out: bytes = self._inner.process(piece)
        rest: bytes = self._inner.finish() if last else self._inner.flush()
        return out + rest


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstd.ZstdCompressor(level=3)

    def feed(self, piece: bytes, *, last: bool) -> bytes:
        return self._inner.compress(piece, self._inner.FLUSH_FRAME if last else self._inner.FLUSH_BLOCK)


_STREAMS: Mapping[bytes, type[_Gzip | _Brotli | _Zstd]] = {b"gzip": _Gzip, b"br": _Brotli, b"zstd": _Zstd}


@lru_cache(maxsize=256)
def choose(accept: bytes) -> bytes | None:
    """The encoding of ours that an `Accept-Encoding` likes best; None for as it is. Source: RFC 9110, 12.5.3."""
    wishes: dict[bytes, float] = {}
    for part in accept.lower().split(b","):
        name, _, parameters = part.strip().partition(b";")
        quality = 1.0
        key, _, value = parameters.strip().partition(b"=")
        if key.strip() == b"q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
        wishes[name.strip()] = quality
    others = wishes.get(b"*", 0.0)
    best = max(_OURS, key=lambda name: wishes.get(name, others))
    return best if wishes.get(best, others) > 0 else None


def worthwhile(status: int, headers: Headers) -> bool:
    """Whether an answer may be compressed at all: text of some kind, not encoded yet, not a stream of events."""
    if status in _NO_BODY or status < 200:
        return False
    kind = b""
    for name, value in headers:
        if name == b"content-type":
            kind = value.lower()
        elif name == b"content-encoding" or (name == b"cache-control" and b"no-transform" in value):
            return False
    return bool(kind) and (kind.startswith(_TEXT_IMAGES) or not kind.startswith(_ALREADY_SMALL))


def stream(encoding: bytes) -> Stream:
    """A compressor for an answer that comes in pieces."""
    return _STREAMS[encoding]()


async def compress(encoding: bytes, body: bytes) -> bytes:
    """The whole body, compressed."""
    if len(body) > _THREAD_ABOVE_BYTES:
        return await asyncio.to_thread(stream(encoding).feed, body, last=True)
    return stream(encoding).feed(body, last=True)


def relabel(headers: Headers, encoding: bytes, size_bytes: int | None) -> Headers:
    """The headers of the compressed answer. A strong ETag becomes weak: the bytes are others now. RFC 9110, 8.8.1."""
    kept = []
    vary = b"Accept-Encoding"
    for name, value in headers:
        if name == b"content-length":
            continue
        if name == b"vary":
            vary = value + b", Accept-Encoding"
        elif name == b"etag" and not value.startswith(b"W/"):
            kept.append((name, b"W/" + value))
        else:
            kept.append((name, value))
    kept += [(b"content-encoding", encoding), (b"vary", vary)]
    if size_bytes is not None:
        kept.append((b"content-length", b"%d" % size_bytes))
    return kept
