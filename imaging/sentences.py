"""Sentences that quote what somebody wrote."""

from __future__ import annotations


def shorten(sentence: str, most: int = 500) -> str:
    """A sentence that quotes what somebody wrote: on one line, its middle left out where it is very long."""
    if not sentence.isprintable():
        sentence = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)
    half = (most - 5) // 2
    return sentence if len(sentence) <= most else f"{sentence[:half]} ... {sentence[-half:]}"
