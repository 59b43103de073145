"""Sentences that quote what somebody wrote."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

_MOST_LISTED = 20


def shorten(sentence: str, most: int = 500) -> str:
    """A sentence that quotes what somebody wrote: on one line, its middle left out where it is very long."""
    if not sentence.isprintable():
        sentence = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)
    half = (most - 5) // 2
    return sentence if len(sentence) <= most else f"{sentence[:half]} ... {sentence[-half:]}"


def name_unknown(kind: str, name: str, known: Sequence[str], where: str = "") -> str:
    """That there is no such thing, and which was probably meant, or which there are.

    Parameters
    ----------
    kind
        What is asked for: a table, a plate.
    name
        Its name, as somebody wrote it.
    known
        Names of those that there are.
    where
        Where it is not, such as `` in wells``.
    """
    missing = f"there is no {kind} {shorten(name, 120)}{where}"
    if near := get_close_matches(name, known, n=1):
        return f"{missing}, did you mean {near[0]}?"
    if not known:
        return missing
    more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
    return shorten(f"{missing}; there are {', '.join(known[:_MOST_LISTED])}{more}", 1_000)


def counted(number: int, noun: str) -> str:
    """``1 site``, ``1,200 sites``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def list_words(names: Sequence[str], most: int = 8) -> str:
    """Names with commas; of many the first, and how many follow."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
