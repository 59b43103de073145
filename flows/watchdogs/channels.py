"""Where alerts and messages reach people: a block on the Prefect server for each channel, and who uses them.

The addresses are secrets. They stand in the environment of whoever deploys, go into blocks, and are nowhere else. A
block that somebody made or changed by hand stays: the settings say what is in it only as far as they name an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from flows.applied import Applied
from flows.deploy_blocks import apply_block, find_block
from flows.settings import CHANNELS, MESSAGE_CHANNELS, PREFIX, Settings
from imaging.errors import ConfigurationError

WEBHOOK, SLACK, TEAMS = "webhook", "slack-webhook", "ms-teams-webhook"
BLOCKS = {
    "alert_webhook": (WEBHOOK, "platestream-alerts"),
    "alert_slack": (SLACK, "platestream-alerts"),
    "alert_email": (SLACK, "platestream-alerts-mail"),
    "message_slack": (SLACK, "platestream-messages"),
    "message_teams": (TEAMS, "platestream-messages"),
    "message_webhook": (WEBHOOK, "platestream-messages"),
    "message_email": (SLACK, "platestream-messages-mail"),
}
"""Type and name of the block of each channel. A Prefect server knows no block for mail by SMTP; its one for Slack hands
every address that is not Slack's to Apprise, which knows ``mailtos://``."""
SCHEMES = {
    "alert_webhook": ("http", "https"),
    "alert_slack": ("http", "https"),
    "alert_email": ("mailto", "mailtos"),
    "message_slack": ("http", "https"),
    "message_teams": ("http", "https"),
    "message_webhook": ("http", "https"),
    "message_email": ("mailto", "mailtos"),
}
_ALL = (*CHANNELS, *MESSAGE_CHANNELS)


def check_channels(settings: Settings) -> None:
    """Check the form of the addresses that the settings name.

    Raises
    ------
    ConfigurationError
        If an address has another form; nothing of it is repeated.
    """
    for field in _ALL:
        _read_address(field, getattr(settings, field))


def apply_channels(client: Any, settings: Settings) -> list[Applied]:
    """Write the addresses that the settings name into blocks of a Prefect server; return what was done.

    Parameters
    ----------
    client
        A synchronous client of Prefect's, inside its settings.
    settings
        Which addresses there are.

    Raises
    ------
    ConfigurationError
        If an address has another form; nothing of it is repeated.
    """
    return [each for field in _ALL for each in _apply_channel(client, field, getattr(settings, field))]


def _apply_channel(client: Any, field: str, address: SecretStr | None) -> Iterator[Applied]:
    url = _read_address(field, address)
    if url is None:
        return
    from prefect.blocks.notifications import MicrosoftTeamsWebhook, SlackWebhook
    from prefect.blocks.webhook import Webhook

    kinds: dict[str, Any] = {WEBHOOK: Webhook, SLACK: SlackWebhook, TEAMS: MicrosoftTeamsWebhook}
    kind, name = BLOCKS[field]
    first = {"headers": {"Content-Type": "application/json"}} if kind == WEBHOOK else {}
    yield from apply_block(client, kinds[kind], name, {"url": url}, first=first)


def _read_address(field: str, address: SecretStr | None) -> str | None:
    if address is None:
        return None
    url = address.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES[field] or not parts.netloc:
        raise ConfigurationError(
            f"{PREFIX}{field.upper()} must be an address that begins with {SCHEMES[field][-1]}:// (it is not shown "
            "here, since it is a secret)"
        )
    return url


def with_blocks(client: Any, automations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name the blocks of actions as the server knows them.

    Parameters
    ----------
    client
        A synchronous client of Prefect's.
    automations
        As declared: an action may say ``block: TYPE/NAME``.

    Returns
    -------
    The automations without actions whose block the server does not have, and without those that have none left.
    """
    found = []
    for automation in automations:
        actions = [_with_block(client, action) for action in automation.get("actions", ())]
        kept = [action for action in actions if action is not None]
        if kept or not actions:
            found.append({**automation, "actions": kept})
    return found


def _with_block(client: Any, action: dict[str, Any]) -> dict[str, Any] | None:
    if "block" not in action:
        return action
    kind, _, name = str(action["block"]).partition("/")
    block = find_block(client, kind, name)
    others = {key: value for key, value in action.items() if key != "block"}
    return None if block is None else {**others, "block_document_id": str(block.id)}
