"""What the chunks of a Zarr claim to unpack to, told before they are unpacked (Zarr 2 and 3, shards too).

Whoever uploads an array names its codecs: only those are run that an image needs and whose result is bounded.
"""

from __future__ import annotations

import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs

from imaging.errors import UnreadableImageError
from imaging.formats.zarr_layout import ZarrLayout
from imaging.sentences import shorten

_PIECE = 1024 * 1024
_EMPTY = 2**64 - 1
_PLAIN = frozenset(
    ("bytes", "endian", "transpose", "shuffle", "delta", "crc32", "crc32c", "adler32", "fletcher32", "sharding_indexed")
)
"""Codecs whose result has the size of what they are given, but for a checksum."""


def refuse_bombs(described: dict[str, Any], layout: ZarrLayout, chunks: dict[str, bytes]) -> None:
    """Refuse a plane that has a chunk that would unpack to more than its pixels.

    Parameters
    ----------
    described, layout
        The array's description, and what was read of it.
    chunks
        Stored objects by name: chunks or shards.

    Raises
    ------
    UnreadableImageError
        If there is one, or if a codec is named that is not run.
    """
    named = [described.get("compressor"), *(described.get("filters") or []), *(described.get("codecs") or [])]
    codecs = [codec for codec in named if codec]
    shards = [codec["configuration"] for codec in codecs if _name(codec) == "sharding_indexed"]
    if len(shards) > 1 or (shards and len(codecs) > 1):
        raise UnreadableImageError("its shards are packed themselves, which is not read")
    claims = _claims(shards[0]["codecs"] if shards else codecs)
    if claims is None:
        return
    most = math.prod(layout.chunk) * layout.dtype.itemsize
    for data in chunks.values():
        for packed in _packed(data, shards[0], layout) if shards else [data]:
            if claims(packed, most) > most:
                raise UnreadableImageError(
                    f"its pixels are damaged: a chunk holds more than the {most:,} bytes of its pixels"
                )


def _claims(codecs: list[Any]) -> Callable[[bytes, int], int] | None:
    """What tells the size that a chunk of these codecs unpacks to; ``None`` where nothing is packed."""
    names = [name for name in map(_name, codecs) if name and name not in _PLAIN]
    unknown = next((name for name in names if name not in _CLAIMS), None)
    if unknown is not None or "sharding_indexed" in map(_name, codecs[1:]):
        what = unknown or "sharding_indexed"
        raise UnreadableImageError(f"its codec {what[:100]!r} is not read here; use blosc, zstd or gzip")
    if len(names) > 1:
        packers = shorten(" and ".join(names), 100)
        raise UnreadableImageError(f"its chunks are packed twice, by {packers}, which is not read")
    return _CLAIMS[names[0]] if names else None


def _name(codec: Any) -> str:
    return str(codec.get("id") or codec.get("name")).removeprefix("numcodecs.") if isinstance(codec, dict) else ""


def _packed(shard: bytes, configuration: dict[str, Any], layout: ZarrLayout) -> Iterator[bytes]:
    """Chunks of a shard, by the index at its end or beginning: 16 bytes for each, and mostly a checksum."""
    count = math.prod(-(-side // inner) for side, inner in zip(layout.stored, layout.chunk, strict=True))
    names = [_name(codec) for codec in configuration.get("index_codecs") or []]
    if not set(names) <= {"bytes", "crc32c"}:
        raise UnreadableImageError("the index of its shards is packed, which is not read")
    size = 16 * count + 4 * names.count("crc32c")
    if size > len(shard):
        raise UnreadableImageError("its pixels are damaged: a shard is shorter than its index")
    start = 0 if configuration.get("index_location") == "start" else len(shard) - size
    for offset, length in struct.iter_unpack("<2Q", shard[start : start + 16 * count]):
        if offset != _EMPTY:
            yield shard[offset : offset + length]


def _of_blosc(data: bytes, most: int) -> int:
    return struct.unpack_from("<I", data, 4)[0]


def _of_lz4(data: bytes, most: int) -> int:
    return struct.unpack_from("<I", data)[0]


def _of_zlib(data: bytes, most: int) -> int:
    stream, size = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    while data and size <= most and not stream.eof:
        size += len(stream.decompress(data, _PIECE))
        data = stream.unconsumed_tail
    return size if not stream.unused_data else most + 1  # another stream behind it would be unpacked too


def _of_bz2(data: bytes, most: int) -> int:
    stream = bz2.BZ2Decompressor()
    size = len(stream.decompress(data, most + 1))
    return size if not stream.eof or not stream.unused_data else most + 1


def _of_lzma(data: bytes, most: int) -> int:
    stream = lzma.LZMADecompressor(memlimit=256 * _PIECE)
    try:
        size = len(stream.decompress(data, most + 1))
    except lzma.LZMAError as error:
        raise UnreadableImageError(f"its pixels are damaged: a chunk is no lzma data ({error})") from error
    return size if not stream.eof or not stream.unused_data else most + 1


def _of_zstd(data: bytes, most: int) -> int:
    return len(imagecodecs.zstd_decode(data, out=bytearray(most)))  # what its frames say of their sizes may be wrong


_CLAIMS: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _of_blosc,
    "lz4": _of_lz4,
    "zlib": _of_zlib,
    "gzip": _of_zlib,
    "bz2": _of_bz2,
    "lzma": _of_lzma,
    "zstd": _of_zstd,
}
