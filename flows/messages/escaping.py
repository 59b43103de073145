"""Texts of plates in the words of a channel: they ping nobody, format nothing and make no link.

every channel   ``@``, and ``<`` before ``@``, ``!`` and ``#``, are followed by a space of no width, so that no name
                mentions anybody; so are the words that make an address a link
Slack           ``&``, ``<`` and ``>`` as entities, as Slack asks for; sent as plain text besides
Teams           signs of Markdown after a backslash
webhook, mail   as they are: JSON and plain text
"""

from __future__ import annotations

import re
from collections.abc import Callable

NO_WIDTH = "\u200b"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|>~-])")
_MENTION = re.compile(r"<(?=[@!#])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|www)([.:])")


def defuse(text: str) -> str:
    """A text in which nothing mentions anybody, whatever it is sent to, and no address becomes a link by itself."""
    text = _MENTION.sub(rf"<{NO_WIDTH}", text).replace("@", f"@{NO_WIDTH}")
    return _ADDRESS.sub(rf"\1{NO_WIDTH}\2", text)


def for_slack(text: str) -> str:
    """A text in Slack's ``mrkdwn`` and plain text."""
    return defuse(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def for_teams(text: str) -> str:
    """A text in the Markdown of an adaptive card."""
    return _MARKDOWN.sub(r"\\\1", defuse(text)).replace("<", "&lt;")


ESCAPES: dict[str, Callable[[str], str]] = {
    "slack": for_slack,
    "teams": for_teams,
    "webhook": defuse,
    "email": defuse,
}
"""How each channel takes texts of plates."""
