"""Regular expressions of users: those that Python doubts are refused, and no warning leaves the door."""

from __future__ import annotations

import itertools
import re

import pytest

from imaging.patterns import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?P<well>[[0-9])", "possible nested set at position 10"),
        ("[+--]", "possible set difference at position 2"),
        ("[a&&b]", "possible set intersection at position 2"),
        ("[a||b]", "possible set union at position 2"),
        ("[a~~b]", "possible set symmetric difference at position 2"),
    ],
)
def test_a_pattern_that_a_later_python_may_read_otherwise_is_refused(pattern: str, words: str) -> None:
    for _ in range(2):  # a pattern that Python keeps warns but once
        with pytest.raises(ValueError, match=re.escape(f"may mean something else in a later Python ({words})")):
            compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"[\[0-9]", r"[+\--]", r"[a\&\&b]", "plate--(x|)||y", r"\[[0-9]"])
def test_a_pattern_that_is_clear_is_taken(pattern: str) -> None:
    assert compile_pattern(pattern).pattern == pattern


@pytest.mark.parametrize("pattern", ["[a", "(?P<well>", "x{1,99999999999999999999}", "(" * 2_000 + ")" * 2_000])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^is no regular expression \("):
        compile_pattern(pattern)


def test_no_warning_of_any_brackets_comes_through() -> None:
    for signs in itertools.product("[^]-&a", repeat=5):
        try:  # a warning is an error in tests
            compile_pattern("[" + "".join(signs))
        except ValueError:
            continue
