"""Bytes by pieces: what is fetched, what is kept, what ends where."""

from __future__ import annotations

import pytest

from imaging.byte_sources import BLOCK, ByteSource, PartOfBytes, RangedBytes, WholeBytes

DATA = bytes(range(251)) * 1_500


def ranged() -> tuple[RangedBytes, list[tuple[int, int]]]:
    asked: list[tuple[int, int]] = []

    def fetch(start: int, size: int) -> bytes:
        asked.append((start, size))
        return DATA[start : start + size]

    return RangedBytes(fetch, len(DATA)), asked


@pytest.mark.parametrize("source", [WholeBytes(DATA), ranged()[0], PartOfBytes(WholeBytes(b"ab" + DATA), 2, len(DATA))])
def test_any_piece_is_that_of_the_whole(source: ByteSource) -> None:
    for start, size in ((0, 4), (BLOCK - 1, 2), (BLOCK, BLOCK), (7, 3 * BLOCK), (len(DATA) - 3, 9), (len(DATA), 5)):
        assert bytes(source.read(start, size)) == DATA[start : start + size]
    assert source.size == len(DATA)


def test_small_pieces_of_one_block_are_fetched_once() -> None:
    source, asked = ranged()
    for start in range(0, 4_000, 16):
        source.read(start, 16)
    assert asked == [(0, BLOCK)]


def test_a_large_piece_is_fetched_as_it_is() -> None:
    source, asked = ranged()
    source.read(5, 2 * BLOCK)
    assert asked == [(5, 2 * BLOCK)]


def test_few_blocks_are_kept() -> None:
    asked: list[int] = []

    def fetch(start: int, size: int) -> bytes:
        asked.append(start)
        return bytes(size)

    source = RangedBytes(fetch, 200 * BLOCK)
    for number in [*range(100), 99, 0]:
        source.read(number * BLOCK, 1)
    assert asked[-2:] == [99 * BLOCK, 0]  # the last was kept, the first was not


def test_a_part_ends_where_it_ends() -> None:
    part = PartOfBytes(WholeBytes(b"before-part-after"), 7, 4)
    assert bytes(part.read(0, 100)) == b"part"
    assert bytes(part.read(3, 9)) == b"t"
    assert bytes(part.read(9, 9)) == b""
