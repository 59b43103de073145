"""What pages are made of: scripts and styles in ``page_files``, and data as scripts that assign a value."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

STYLE, LINKS = "page.css", "links.js"
CURRENT = "current"
"""Name of the page that shows what counts now."""


def experiment_page_folder(experiment: str, name: str = CURRENT) -> str:
    """Folder of an experiment's page; ``name`` is ``current``, or that of an analysis whose page is to stay."""
    return f"results/{experiment}/_experiment/{name}/page/"


def page_source(name: str) -> bytes:
    """A file of ``page_files``."""
    return (files("imaging") / "page_files" / name).read_bytes()


def join_scripts(parts: Iterable[bytes]) -> bytes:
    """Parts of a script as one that leaves no name behind."""
    return "\n".join(['(() => {\n"use strict";\n', *(part.decode() for part in parts), "})();\n"]).encode()


def assign_script(name: str, value: Any) -> bytes:
    """A script that assigns a value to a name of the window: pure ASCII, in which no text can end it or become markup.

    Raises
    ------
    ValueError
        If the value holds NaN or an infinite number.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"window.{name} = {text};\n".encode("ascii")


def encode_links(links: Iterable[tuple[str, str]]) -> bytes:
    """Write links.js: label and address of each link that a page's head shows besides its own."""
    return assign_script("LINKS", [{"label": label, "url": url} for label, url in links])
