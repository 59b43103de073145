"""Alerts on their way to people: a real Prefect server, its automation, and receivers that really listen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.deploy import deploy
from flows.events import emit
from flows.settings import Settings
from flows.watchdogs.alerts import Alert
from flows.watchdogs.rounds import AlertEvent
from tests.flows.receivers import mail_server, webhook

AUTOMATION = "automation platestream alerts"


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within a minute"
        time.sleep(0.1)


def apply(server: str, project: Path, **channels: str) -> dict[str, str]:
    applied = deploy(settings=Settings(api_url=server, **channels), root=project)  # pyright: ignore[reportArgumentType]
    return {f"{each.kind} {each.name}": each.change for each in applied}


def remove_blocks(server: str) -> None:
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        for block in client.post("/block_documents/filter", json={}).raise_for_status().json():
            if block["name"].startswith("platestream-alerts"):
                client.delete(f"/block_documents/{block['id']}").raise_for_status()


def change_slack(server: str, address: str) -> None:
    """Let the block of Slack send to a receiver that is here: Slack's own answers only to Slack."""
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        found = client.get("/block_types/slug/slack-webhook/block_documents/name/platestream-alerts")
        change = {"data": {"url": address}, "merge_existing_data": True}
        client.patch(f"/block_documents/{found.json()['id']}", json=change).raise_for_status()


@pytest.fixture
def clean(deployed: str, project: Path):
    yield deployed
    remove_blocks(deployed)
    apply(deployed, project)


def event(news: str = "new") -> AlertEvent:
    what = 'nothing of "screen"/P1 <b> gets done since 2026-02-03 04:05 UTC (31 min)'
    alert = Alert("plate-stuck", "screen/P1/v1-0", 1e9, what, "look at its log", "screen", "P1", "v1-0")
    return AlertEvent(alert, news, alert.sentence, 1e9)


def test_an_alert_reaches_webhook_slack_and_mailbox_once_each(clean: str, project: Path) -> None:
    with webhook() as (address, posted), webhook() as (slack, said), mail_server() as (host, letters):
        applied = apply(
            clean,
            project,
            alert_webhook=f"{address}/hook?token=secret",
            alert_slack="https://hooks.slack.com/services/T0/B0/secret",
            alert_email=f"mailto://{host}?from=platestream@lab.example&to=night@lab.example",
        )
        assert applied[AUTOMATION] == "created"
        assert applied["block webhook/platestream-alerts"] == "created"
        change_slack(clean, slack.replace("http", "json"))
        sent = event()
        for _ in range(2):
            emit(clean, sent)  # its answer was lost, so it is sent again
        wait_for(lambda: posted and said and letters, "message")
        emit(clean, event("over"))
        wait_for(lambda: len(posted) > 1, "second message")
    headers, body = posted[0]
    assert headers["Content-Type"] == "application/json"
    assert body["text"] == sent.message
    assert (body["alert"]["kind"], body["alert"]["plate"], body["alert"]["news"]) == ("plate-stuck", "P1", "new")
    assert [body["alert"]["news"] for _, body in posted] == ["new", "over"]
    assert sent.message in said[0][1]["message"]
    assert "To: night@lab.example" in letters[0]
