"""Puts the table of a load where docs/load.md shows it."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "load.md"


def fill(text: str, name: str, table: str) -> str:
    """Put a table between the marks of its name; a text without such marks stays as it is."""
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)
