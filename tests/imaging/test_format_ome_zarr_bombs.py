"""Chunks of an OME-Zarr that claim or unpack to more than an image, and codecs that no image needs."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs import BZ2, LZ4, LZMA, Blosc, GZip, Zlib, Zstd
from numcodecs.checksum32 import CRC32C
from zarr.codecs import GzipCodec

from imaging.errors import UnreadableImageError
from imaging.formats.contract import Address
from tests.imaging.test_format_ome_zarr import B03, PIXELS, _change, at, pixels_of, read, write_image


def test_a_chunk_that_unpacks_to_more_than_its_pixels_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.5", compressors=GzipCodec())
    packer = zlib.compressobj(wbits=31)
    (tmp_path / "B03.zarr/0/c/0/0/0/0").write_bytes(packer.compress(bytes(200 << 20)) + packer.flush())
    delivery, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match="more than the 2,000 bytes of its pixels"):
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))


def bomb_of(codec: Any, size: int = 64 << 20) -> bytes:
    return bytes(codec.encode(bytes(size)))


@pytest.mark.parametrize("codec", [BZ2(), LZMA(), LZ4(), Zstd(), GZip(), Zlib(), Blosc()], ids=lambda c: c.codec_id)
def test_a_bomb_of_any_codec_is_refused_and_a_chunk_is_read(tmp_path: Path, codec: Any) -> None:
    write_image(tmp_path / "B03.zarr", "0.4", compressors=codec)
    delivery, folder = read(tmp_path)
    np.testing.assert_array_equal(pixels_of(folder, at(delivery, Address(B03, 1, "1", 1))), PIXELS[0, 0])
    chunk = tmp_path / "B03.zarr/0/0/0/0/0"
    bombs = [bomb_of(codec)]
    if codec.codec_id in ("gzip", "bz2", "lzma"):  # of which a second stream is unpacked too
        bombs.append(chunk.read_bytes() + bombs[0])
    for bomb in bombs:
        chunk.write_bytes(bomb)
        delivery, folder = read(tmp_path)
        with pytest.raises(UnreadableImageError, match=r"more than the 2,000 bytes|too small"):
            pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))


@pytest.mark.parametrize("codec", [GZip(), Zlib()], ids=lambda codec: codec.codec_id)
def test_bytes_behind_a_large_chunk_end_its_unpacking_all_the_same(tmp_path: Path, codec: Any) -> None:
    """A stream that is over takes no more bytes, and says so by leaving them; asking again gave the same for ever."""
    pixels = np.zeros((1, 1, 1_100, 1_024), np.uint16)
    write_image(tmp_path / "B03.zarr", "0.4", pixels, chunks=(1, 1, 1_100, 1_024), compressors=codec)
    chunk = tmp_path / "B03.zarr/0/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes() + b"behind")
    delivery, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match="more than the 2,252,800 bytes of its pixels"):
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))


def test_a_bomb_in_a_shard_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.5", chunks=(1, 1, 20, 25), shards=(2, 3, 40, 50), compressors=GzipCodec())
    (shard,) = (path for path in (tmp_path / "B03.zarr/0/c").rglob("*") if path.is_file())
    n_chunks, bomb = 24, gzip.compress(bytes(64 << 20))
    index = np.array([(0, len(bomb))] + [(2**64 - 1, 2**64 - 1)] * (n_chunks - 1), "<u8").tobytes()
    shard.write_bytes(bomb + index + CRC32C(location="end").encode(np.frombuffer(index, np.uint8))[-4:].tobytes())
    delivery, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match="more than the 1,000 bytes of its pixels"):
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))
    shard.write_bytes(b"short")
    delivery, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match="a shard is shorter than its index"):
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"compressor": {"id": "pickle"}}, "its codec 'pickle' is not read here"),
        ({"filters": [{"id": "pickle"}]}, "its codec 'pickle' is not read here"),
        ({"filters": [{"id": "zlib"}], "compressor": {"id": "zlib"}}, "packed twice, by zlib and zlib"),
    ],
)
def test_codecs_that_no_image_needs_are_not_run(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    _change(tmp_path / "B03.zarr/0/.zarray", **changes)
    delivery, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match=words):
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))


def test_chunks_larger_than_any_plane_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    _change(tmp_path / "B03.zarr/0/.zarray", dtype="<f8", chunks=[1, 1, 10_000, 10_000])
    delivery, _ = read(tmp_path)
    assert not delivery.planes
    assert any("its chunks have 800,000,000 bytes" in problem for problem in delivery.told.problems)
