"""Regular expressions that users write: compiled, or refused in a sentence."""

from __future__ import annotations

import re
import warnings

_TWO_WAYS = re.compile(r"\[\[|([-&~|])\1")
"""Signs without which Python warns of no pattern. Filters of warnings belong to all threads: they are left alone."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises
    ------
    ValueError
        If it is none, or if Python says that a later version may read it as another one. The text lacks its subject.
    """
    try:
        if _TWO_WAYS.search(pattern) is None:
            return re.compile(pattern)
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            return re.compile(pattern)
    except FutureWarning as warning:
        words = f"{str(warning)[:1].lower()}{str(warning)[1:]}"
        raise ValueError(
            f"may mean something else in a later Python ({words}); inside [] write a backslash before [, -, &, ~ and | "
            f"that stand for themselves, got {pattern!r}"
        ) from None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression ({error}), got {pattern!r}") from None
