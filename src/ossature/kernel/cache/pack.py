"""Entries of the second level as bytes: a small head with the times and tags, then the packed value."""

import struct
import sys
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

V = TypeVar("V")

_HEAD = struct.Struct("<2sBBdddI")
_MAGIC = b"oc"
_VERSION = 1
_PLAIN, _ZSTD = 0, 1
_MOST_UNPACKED_BYTES = 256 * 1024 * 1024


class Parcel(NamedTuple):
    """An entry on its way to or from the second level. body: the packed value, not compressed."""

    body: bytes
    fresh_until: datetime
    useful_until: datetime
    made_at: datetime
    tags: tuple[str, ...]


def write(parcel: Parcel, *, compress_over_bytes: int) -> bytes:
    """The bytes of an entry; the value is compressed if it is large and that helps."""
    body, form = parcel.body, _PLAIN
    if compress_over_bytes and len(body) > compress_over_bytes:
        packed = zstd.compress(body, level=1)
        if len(packed) < len(body):
            body, form = packed, _ZSTD
    tags = "\n".join(parcel.tags).encode()
    times = (parcel.fresh_until.timestamp(), parcel.useful_until.timestamp(), parcel.made_at.timestamp())
    return _HEAD.pack(_MAGIC, _VERSION, form, *times, len(tags)) + tags + body


def read(entry: bytes) -> Parcel:
    """The entry of those bytes. Raises: ValueError for bytes of another version."""
    if len(entry) < _HEAD.size:
        msg = "no entry of ours"
        raise ValueError(msg)
    magic, version, form, fresh_until, useful_until, made_at, tag_bytes = _HEAD.unpack_from(entry)
    if magic != _MAGIC or version != _VERSION or form not in {_PLAIN, _ZSTD}:
        msg = "an entry of another version"
        raise ValueError(msg)
    start = _HEAD.size + tag_bytes
    tags = tuple(entry[_HEAD.size : start].decode().split("\n")) if tag_bytes else ()
    body = entry[start:]
    if form == _ZSTD:
        body = _unpacked(body)
    return Parcel(body, _utc(fresh_until), _utc(useful_until), _utc(made_at), tags)


def _unpacked(body: bytes) -> bytes:
    frame = zstd.ZstdDecompressor()
    try:
        plain = frame.decompress(body, max_length=_MOST_UNPACKED_BYTES)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    if not frame.eof:
        msg = "an entry that is cut off, or too large"
        raise ValueError(msg)
    return plain


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class JsonPacking:
    """Plain JSON values (dicts, lists, texts, numbers) as bytes."""

    def pack(self, value: Any, /) -> bytes:  # noqa: ANN401 - any JSON value
        """The bytes of a value."""
        return msgspec.msgpack.encode(value)

    def unpack(self, body: bytes, /) -> Any:  # noqa: ANN401 - any JSON value
        """The value of those bytes. Raises: ValueError."""
        return msgspec.msgpack.decode(body)


class BytesPacking:
    """Values that are bytes already."""

    def pack(self, value: bytes, /) -> bytes:
        """The value itself."""
        return value

    def unpack(self, body: bytes, /) -> bytes:
        """The value itself."""
        return body


class TypedPacking(Generic[V]):
    """Values of one type (dataclass, pydantic model, ...), checked when they come back."""

    def __init__(self, of: Any) -> None:  # noqa: ANN401 - a type, or a union of types
        self._adapter: TypeAdapter[V] = TypeAdapter(of)

    def pack(self, value: V, /) -> bytes:
        """The bytes of a value."""
        return self._adapter.dump_json(value)

    def unpack(self, body: bytes, /) -> V:
        """The value of those bytes. Raises: ValueError when the type has changed since."""
        try:
            return self._adapter.validate_json(body)
        except ValidationError as error:
            msg = "the type of these values has changed"
            raise ValueError(msg) from error
