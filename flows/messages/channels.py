"""Where people are told: the blocks on the Prefect server, and how each channel takes a message.

The addresses are secrets that lie in blocks on the server. Whoever sends reads them there, keeps them for minutes, and
puts them into no log, error or record: what went wrong is said by its kind alone.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from flows.messages.templates import Words
from flows.server import HOST, api_client
from flows.settings import MESSAGE_CHANNELS, Settings
from flows.watchdogs.channels import BLOCKS
from imaging.errors import MissingPartError

TIMEOUT_S = 15.0
LARGEST_CARD = 25_000
"""Bytes of a message that Teams takes, with room to spare; a larger one goes without its picture."""
_CARD = "application/vnd.microsoft.card.adaptive"


class NotTakenError(Exception):
    """The channel certainly did not take the message; the text names no address."""


class UnsureError(Exception):
    """The message was sent, and whether it was taken is not known."""


@dataclass(frozen=True)
class Letter:
    """A message as a channel is to send it."""

    words: Words
    facts: Mapping[str, Any]
    link: str = ""
    picture: bytes = b""


@dataclass(frozen=True, repr=False)
class Channel:
    """One way to people; its address is never shown.

    Parameters
    ----------
    name
        ``slack``, ``teams``, ``webhook`` or ``email``.
    url
        The block's address.
    method, headers
        Of a webhook.
    """

    name: str
    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Channel({self.name})"

    def send(self, letter: Letter) -> None:
        """Send a message once.

        Raises
        ------
        NotTakenError
            If the channel certainly did not take it.
        UnsureError
            If it may have.
        """
        if self.name == "email":
            _send_mail(self.url, letter)
        else:
            body = {"slack": slack_body, "teams": teams_body, "webhook": webhook_body}[self.name](letter)
            _post(self, json.dumps(body).encode())


def read_channels(settings: Settings) -> list[Channel]:
    """Read the channels that the Prefect server has blocks for.

    Raises
    ------
    MissingPartError
        If the server does not answer.
    """
    found = []
    try:
        with api_client(settings.api_url, auth=settings.auth) as client:
            for setting in MESSAGE_CHANNELS:
                if (block := _read_block(client, *BLOCKS[setting])) and block.get("url"):
                    name, headers = setting.removeprefix("message_"), block.get("headers") or {}
                    found.append(Channel(name, block["url"], block.get("method") or "POST", dict(headers)))
    except (httpx.HTTPError, ValueError) as error:
        raise MissingPartError(
            f"the Prefect server at {settings.api_url} does not say where messages go ({type(error).__name__}); they "
            "wait until it does"
        ) from error
    return found


def _read_block(client: httpx.Client, kind: str, name: str) -> dict[str, Any] | None:
    address = f"/block_types/slug/{quote(kind)}/block_documents/name/{quote(name)}"
    answer = client.get(address, params={"include_secrets": True})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    return answer.raise_for_status().json()["data"]


def slack_body(letter: Letter) -> dict[str, Any]:
    """A message for Slack's incoming webhook: plain text, which formats and mentions nothing, and a link of ours.

    Slack shows pictures only from addresses that it can reach, so there is none.
    """
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(letter.words.subject, 150)},
        *({"type": "section", "text": _plain("\n".join(letter.words.lines), 3000)} for _ in letter.words.lines[:1]),
    ]
    if letter.link:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{letter.link}|Open the page>"}})
    return {"text": letter.words.text[:3000], "mrkdwn": False, "link_names": False, "blocks": blocks}


def _plain(text: str, longest: int) -> dict[str, Any]:
    return {"type": "plain_text", "emoji": False, "text": text if len(text) <= longest else f"{text[: longest - 1]}…"}


def teams_body(letter: Letter) -> dict[str, Any]:
    """A message for a workflow of Teams: an adaptive card, with the picture inside where it is small enough."""
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": letter.words.subject, "weight": "Bolder", "size": "Medium", "wrap": True},
        *({"type": "TextBlock", "text": line, "wrap": True, "spacing": "Small"} for line in letter.words.lines),
    ]
    card: dict[str, Any] = {"type": "AdaptiveCard", "version": "1.4", "body": body}
    if letter.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the page", "url": letter.link}]
    said = {"type": "message", "attachments": [{"contentType": _CARD, "content": card}]}
    picture = _data_address(letter.picture)
    if picture and len(json.dumps(said)) + len(picture) < LARGEST_CARD:
        body.append({"type": "Image", "url": picture, "altText": "verdicts of the wells", "size": "Stretch"})
    return said


def webhook_body(letter: Letter) -> dict[str, Any]:
    """A message for any program: its text, what it is made of, and the picture as a data address."""
    return {
        "text": letter.words.text,
        "subject": letter.words.subject,
        "message": dict(letter.facts),
        "link": letter.link,
        "picture": _data_address(letter.picture),
    }


def _data_address(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""


_PERHAPS = frozenset({502, 504})
"""Answers of a gateway that may have handed the message on."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message goes to the address that was given and to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _post(channel: Channel, data: bytes) -> None:
    """Post JSON; the standard library's client logs no address."""
    try:
        parts = urlsplit(channel.url)
    except ValueError:
        raise NotTakenError("the block's address cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotTakenError("the block's address is none of the web")
    headers = {"Content-Type": "application/json", "User-Agent": "platestream"} | dict(channel.headers)
    request = urllib.request.Request(channel.url, data, headers, method=channel.method)
    is_here = parts.hostname in (HOST, "localhost", "::1")
    opener = urllib.request.build_opener(_NoRedirect, *([urllib.request.ProxyHandler({})] if is_here else []))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1000)
    except urllib.error.HTTPError as error:
        if error.code in _PERHAPS or error.code < 400:  # who answers so may have done it before
            raise UnsureError(f"it answered {error.code}") from None
        raise NotTakenError(f"it answered {error.code}") from None
    except urllib.error.URLError as error:  # nothing was sent, or not all of it
        raise NotTakenError(f"it cannot be reached ({type(error.reason).__name__})") from None
    except (OSError, http.client.HTTPException) as error:  # it was sent, and no answer came
        raise UnsureError(f"no answer came ({type(error).__name__})") from None
    except ValueError:
        raise NotTakenError("the block's address or headers cannot be used") from None


def _send_mail(url: str, letter: Letter) -> None:
    """Send a letter by Apprise, as Prefect's blocks do; what it logs may repeat an address, so it logs nothing."""
    import apprise  # its plugins are imported by the first address
    from apprise.attachment.memory import AttachMemory

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    mail = apprise.Apprise()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a plugin imports imghdr
        is_known = mail.add(url)
    if not is_known:
        raise NotTakenError("the block's address is none of e-mail")
    lines = [*letter.words.lines, *([letter.link] if letter.link else [])]
    attached = [AttachMemory(letter.picture, name="plate.png", mimetype="image/png")] if letter.picture else None
    taken = mail.notify(
        title=letter.words.subject,
        body="\n".join(lines) or letter.words.subject,
        body_format=apprise.NotifyFormat.TEXT,
        attach=attached,
    )
    if not taken:
        if sum(len(getattr(server, "targets", ())) for server in mail) > 1:
            raise UnsureError("the mail server did not take it for each of its recipients")
        raise NotTakenError("the mail server did not take it")
