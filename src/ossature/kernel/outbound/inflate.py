"""Bodies unpacked piece by piece, so that a small one cannot become a large one unnoticed."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli

ACCEPTED = "gzip, deflate, br"
_STEP_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_HARMLESS_BYTES = 1024 * 1024
MAX_RATIO = 100


class BodyTooLargeError(ValueError):
    """A body is larger than is read, or unpacks to more than a hundred times its size."""


class _Unpacker(Protocol):
    def feed(self, chunk: bytes) -> Iterator[bytes]: ...

    @property
    def is_whole(self) -> bool: ...


class _Zlib:
    """One stream after the other: a gzip file may consist of several members. Source: RFC 1952, 2.2."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inner = zlib.decompressobj(window_bits)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        pending = chunk
        while pending:
            if self._inner.eof:
                if not pending.startswith(_GZIP):  # padding behind the end says nothing
                    return
                self._inner = zlib.decompressobj(self._window_bits)
            piece = self._inner.decompress(pending, _STEP_BYTES)
            if piece:
                yield piece
            pending = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail

    @property
    def is_whole(self) -> bool:
        return self._inner.eof


class _Deflate:
    """`deflate` is zlib by RFC 9110, and raw with some servers."""

    def __init__(self) -> None:
        self._inner: _Zlib | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._inner is None:
            is_zlib = chunk[:1] and chunk[0] & 0x0F == 8
            self._inner = _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        yield from self._inner.feed(chunk)

    @property
    def is_whole(self) -> bool:
        return self._inner is not None and self._inner.is_whole


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        piece = self._inner.process(chunk, output_buffer_limit=_STEP_BYTES)
        while piece:
            yield piece
            if self._inner.can_accept_more_data():
                return
            piece = self._inner.process(b"", output_buffer_limit=_STEP_BYTES)

    @property
    def is_whole(self) -> bool:
        return bool(self._inner.is_finished())


class Inflater:
    """Unpacks the chunks of one body and holds it to its limits."""

    def __init__(self, encoding: str, *, max_bytes: int) -> None:
        """Read a body with that Content-Encoding. Raises: ValueError for one that is not known."""
        self._max_bytes = max_bytes
        self._packed_bytes = 0
        self._plain_bytes = 0
        self._inner: _Unpacker | None
        match encoding.strip().lower():
            case "" | "identity":
                self._inner = None
            case "gzip" | "x-gzip":
                self._inner = _Zlib(16 + zlib.MAX_WBITS)
            case "deflate":
                self._inner = _Deflate()
            case "br":
                self._inner = _Brotli()
            case other:
                msg = f"a body in the encoding {other!r} is not read"
                raise ValueError(msg)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The plain bytes of one chunk. Raises: BodyTooLargeError, and ValueError for a damaged body."""
        self._packed_bytes += len(chunk)
        try:
            for piece in (chunk,) if self._inner is None else self._inner.feed(chunk):
                self._count(len(piece))
                yield piece
        except (zlib.error, brotli.error) as error:
            msg = f"the body is damaged: {error}"
            raise ValueError(msg) from error

    def end(self) -> None:
        """No more will come. Raises: ValueError for a packed body that stops in the middle."""
        if self._inner is not None and self._packed_bytes and not self._inner.is_whole:
            msg = "the body stops in the middle"
            raise ValueError(msg)

    def _count(self, size: int) -> None:
        self._plain_bytes += size
        if self._plain_bytes > self._max_bytes:
            msg = f"the body has more than {self._max_bytes} bytes"
            raise BodyTooLargeError(msg)
        if self._plain_bytes > _HARMLESS_BYTES and self._plain_bytes > MAX_RATIO * self._packed_bytes:
            msg = f"the body unpacks to more than {MAX_RATIO} times its size"
            raise BodyTooLargeError(msg)
