"""Valid inputs, damaged: strategies that keep most of an input as it was, so that readers get far into it."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

Edit = tuple[str, int, int]
"""What is done, where, and with which number."""

ODD_NUMBERS = (0, 1, 2, 127, 255, 256, 32_767, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
ODD_WORDS = (
    "",
    " ",
    "0",
    "-1",
    "+1",
    "1.5",
    "1,5",
    "1e3",
    "1e309",
    "-0.0",
    "nan",
    "inf",
    "0x10",
    "1_000",
    "2147483648",
    "9" * 25,
    "9" * 5_000,
    "\u0663",  # an Arabic 3
    "\u00b2",  # a digit to some functions and to others not
    "\uff21\uff10\uff11",  # A01 of full width
    "\u0131\u0130\u212a",
    "A01",
    "AF48",
    "ZZ99",
    "null",
    "true",
    "[]",
    "{}",
    "<b>",
    "&lt;",
    "'",
    '"',
    "\\",
    "`",
    "%s{0}",
    "a/../b",
    "/",
    "\n",
    "\t",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\U0001f52c",
    "x" * 3_000,
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    2**70,
    "",
    "x",
    "B03",
    "\ud800",
    "a/../b",
    [],
    [None],
    [[]],
    {},
    {"": None},
    {"key": "x"},
    [0, -1],
    "9" * 5_000,
)
_TOKEN = re.compile(rb"[A-Za-z0-9_.+\-]+|\"[^\"]*\"|'[^']*'|[^\sA-Za-z0-9]")
_CHANGES = ("flip", "cut", "drop", "repeat", "number", "swap", "word", "token", "splice")


def edits(kinds: Sequence[str] = _CHANGES, most: int = 4) -> st.SearchStrategy[list[Edit]]:
    """A few changes at places that are taken modulo the input's length."""
    places = st.integers(0, 2**20) | st.integers(0, 512)
    return st.lists(st.tuples(st.sampled_from(kinds), places, st.integers(0, 2**16)), min_size=1, max_size=most)


def damaged(*seeds: bytes, kinds: Sequence[str] = _CHANGES) -> st.SearchStrategy[bytes]:
    """One of these inputs with a few changes, or hardly anything at all."""
    changed = st.tuples(st.sampled_from(seeds), edits(kinds), st.sampled_from(seeds))
    return changed.map(lambda case: change(case[0], case[1], case[2])) | st.binary(max_size=64)


def damaged_text(*seeds: str) -> st.SearchStrategy[bytes]:
    """The same for texts: mostly words and signs are changed, now and then bytes."""
    raw = [seed.encode() for seed in seeds]
    return damaged(*raw, kinds=("token", "token", "token", "word", "drop", "repeat", "cut", "flip", "splice"))


def change(data: bytes, changes: Sequence[Edit], other: bytes) -> bytes:
    """Apply changes one after the other; ``other`` is where pieces come from."""
    for kind, place, value in changes:
        data = _CHANGE[kind](data, place % (len(data) + 1), value, other)
    return data


def _flip(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    place = min(place, len(data) - 1)
    return data[:place] + bytes([data[place] ^ (1 << value % 8)]) + data[place + 1 :] if data else data


def _cut(data: bytes, place: int, _value: int, _other: bytes) -> bytes:
    return data[:place]


def _drop(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    return data[:place] + data[place + 1 + value % 40 :]


def _repeat(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    piece = data[place : place + 1 + value % 60]
    return data[:place] + piece * (2 + value % 5) + data[place:]


def _number(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    number = ODD_NUMBERS[value % len(ODD_NUMBERS)]
    form = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")[value // len(ODD_NUMBERS) % 7]
    packed = struct.pack(form, number % (1 << 8 * struct.calcsize(form)))
    return data[:place] + packed + data[place + len(packed) :]


def _swap(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    far = value % (len(data) + 1)
    first, second = sorted((place, far))
    return (
        data[:first]
        + data[second : second + 8]
        + data[first + 8 : second]
        + data[first : first + 8]
        + data[second + 8 :]
    )


def _word(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    return data[:place] + ODD_WORDS[value % len(ODD_WORDS)].encode() + data[place:]


def _token(data: bytes, place: int, value: int, _other: bytes) -> bytes:
    """Put an odd word in the place of a word or sign, inside its quotes if it has some."""
    tokens = list(_TOKEN.finditer(data, max(0, place - 64), place + 4_096))
    if not tokens:
        return data
    token = tokens[value // len(ODD_WORDS) % len(tokens)]
    word = ODD_WORDS[value % len(ODD_WORDS)].encode()
    quote = token[0][:1] if token[0][:1] in (b'"', b"'") else b""
    return data[: token.start()] + quote + word + quote + data[token.end() :]


def _splice(data: bytes, place: int, value: int, other: bytes) -> bytes:
    start = value % (len(other) + 1)
    return data[:place] + other[start : start + 200] + data[place:]


_CHANGE = {
    "flip": _flip,
    "cut": _cut,
    "drop": _drop,
    "repeat": _repeat,
    "number": _number,
    "swap": _swap,
    "word": _word,
    "token": _token,
    "splice": _splice,
}


def damaged_tree(*seeds: Any) -> st.SearchStrategy[Any]:
    """A tree of JSON with some of its values replaced by odd ones, removed or moved."""
    change_one = st.tuples(st.integers(0, 4_000), st.integers(0, 4_000))
    return st.tuples(st.sampled_from(seeds), st.lists(change_one, min_size=1, max_size=3)).map(
        lambda case: change_tree(*case)
    )


def change_tree(tree: Any, changes: Sequence[tuple[int, int]]) -> Any:
    """Replace or remove the values at these places."""
    for place, value in changes:
        paths = list(_paths(tree, ()))
        tree = _replaced(tree, paths[place % len(paths)], value)
    return tree


def _paths(tree: Any, above: tuple[Any, ...]) -> Any:
    yield above
    inner = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from _paths(value, (*above, key))


def _replaced(tree: Any, path: tuple[Any, ...], value: int) -> Any:
    if not path:
        return ODD_VALUES[value % len(ODD_VALUES)]
    key, *rest = path
    items = dict(tree) if isinstance(tree, Mapping) else dict(enumerate(tree))
    if rest or value % 5:
        items[key] = _replaced(items[key], tuple(rest), value)
    else:
        del items[key]
    return items if isinstance(tree, Mapping) else list(items.values())
