"""What a file is, by its first bytes and never by its name."""

from typing import Final

SNIFF_BYTES: Final = 512

_MAGIC: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-msdownload"),
    (b"{\\rtf", "application/rtf"),
    (b"\xd0\xcf\x11\xe0", "application/x-ole-storage"),
)
_PACKED: Final = frozenset(
    {
        "application/zip",
        "application/gzip",
        "application/zstd",
        "application/vnd.apache.parquet",
        "application/ogg",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "audio/mpeg",
        "video/mp4",
    }
)
_MARKUP: Final = (
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "application/xml"),
)
_CONTROL: Final = frozenset(range(32)) - {9, 10, 12, 13, 27}


def sniffed(start: bytes) -> str:
    """The media type that the first 512 bytes show; `application/octet-stream` when they show none."""
    for magic, media_type in _MAGIC:
        if start.startswith(magic):
            return media_type
    if start[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(start[8:12], "application/octet-stream")
    if start[4:8] == b"ftyp":
        return "video/mp4"
    return _text(start)


def compressible(media_type: str) -> bool:
    """Whether compressing is worth its time."""
    return media_type not in _PACKED


def _text(start: bytes) -> str:
    stripped = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    lowered = stripped[:64].lower()
    for mark, media_type in _MARKUP:
        if lowered.startswith(mark):
            return media_type
    if _CONTROL.intersection(start):
        return "application/octet-stream"
    try:
        start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # a character that is only cut in two at the end is no fault
            return "application/octet-stream"
    return "application/json" if stripped[:1] in (b"{", b"[") else "text/plain"
