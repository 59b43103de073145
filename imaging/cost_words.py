"""Times and money as people read them."""

from __future__ import annotations


def time_words(seconds: float) -> str:
    """A time of two parts at most: ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for size, name, part, part_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s" if whole or not seconds else "less than 1 s"


def money_words(usd: float) -> str:
    """USD to the cent, below a dollar to two digits: ``12.30 USD``, ``0.0039 USD``."""
    if usd == 0 or usd >= 1:
        return f"{usd:,.2f} USD"
    digits = f"{usd:.2g}"
    return f"{float(digits):.10f}".rstrip("0").ljust(4, "0") + " USD"
