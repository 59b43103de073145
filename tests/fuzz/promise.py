"""What every case is held against: a value that keeps its contract, or a PlateError of one clear sentence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from imaging.errors import ConfigurationError, PlateError

LONGEST = 2_000
"""Characters of the longest sentence that anybody would read."""


@dataclass(frozen=True)
class Target:
    """One kind of input: its name, damaged cases of it, what is done with one, and how many the short form tries."""

    name: str
    cases: st.SearchStrategy[Any]
    attempt: Callable[[Any], None]
    short: int = 40


def answer(function: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """What a function gives, or ``None`` where it refuses in a clear sentence."""
    try:
        return function(*values, **named)
    except PlateError as error:
        check_error(error)
        return None


def check_error(error: PlateError) -> None:
    """Hold an error against its promises: a sentence on one line, and the same after a way between workers."""
    check_sentence(error.message)
    for problem in error.problems if isinstance(error, ConfigurationError) else ():
        check_sentence(problem)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def check_sentence(text: str) -> None:
    """Hold a sentence for people against its promises: something is said, on one line, in signs that can be printed."""
    assert text.strip(), "an empty sentence"
    assert text.isprintable(), f"a sentence with signs that cannot be printed: {text[:300]!r}"
    assert len(text) <= LONGEST, f"a sentence of {len(text)} characters: {text[:300]!r}"
