"""Texts from files as Markdown shows them: as they are, whatever they hold."""

from __future__ import annotations

import re
from urllib.parse import quote

_MEANT = re.compile(r"([\\`*{}\[\]()!|~]|(?<!\w)_|_(?!\w)|^\s*[#+=-])")  # _ within a word is only itself
_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\n"): " ", ord("\r"): " "}


def escape(text: str) -> str:
    """The text so that nothing of it is taken for Markdown or HTML."""
    return _MEANT.sub(r"\\\1", text).translate(_ENTITIES)


def link(address: str, text: str = "") -> str:
    """A link to an address, shown by a text or by the address itself."""
    target = quote(address, safe="/:?#@=&,+%~.!$'*;-_")
    return f"[{escape(text or address)}]({target})"
