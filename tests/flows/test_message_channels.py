"""The way of a message through a real Prefect server: its blocks are made once, read by whoever sends, and checked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.deploy import deploy
from flows.doctor_services import check_alerts, check_messages
from flows.messages import outbox
from flows.messages.channels import read_channels
from flows.messages.rounds import Messenger, send_test
from flows.settings import Settings
from flows.watchdogs.channels import apply_channels
from imaging.errors import ConfigurationError, MissingPartError
from imaging.store import FolderStore
from tests.flows.receivers import mail_server, webhook
from tests.flows.test_alert_channels import delete, wait_for
from tests.flows.told import began_long_ago, note


def apply(server: str, project: Path, **channels: str) -> dict[str, str]:
    applied = deploy(settings=Settings(api_url=server, **channels), root=project)  # pyright: ignore[reportArgumentType]
    return {f"{each.kind} {each.name}": each.change for each in applied}


@pytest.fixture
def clean(deployed: str) -> Iterator[str]:
    yield deployed
    with httpx.Client(base_url=deployed, trust_env=False, timeout=60) as client:
        for block in client.post("/block_documents/filter", json={}).raise_for_status().json():
            if block["name"].startswith("platestream-messages"):
                wait_for(lambda: delete(client, f"/block_documents/{block['id']}"), "end of a block")  # noqa: B023


def settings_of(server: str, tmp_path: Path, **said: Any) -> Settings:
    return Settings(api_url=server, store=str(tmp_path / "lab"), **said)


def test_a_message_reaches_slack_teams_webhook_and_mailbox_once_each(clean: str, project: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "lab")
    began_long_ago(store)
    outbox.tell(store, note(verdict="warn"))
    with (
        webhook() as (slack, said),
        webhook() as (teams, carded),
        webhook() as (hook, got),
        mail_server() as (host, mail),
    ):
        addresses = {
            "message_slack": f"{slack}/services/canary",
            "message_teams": f"{teams}/workflows/canary",
            "message_webhook": f"{hook}/canary",
            "message_email": f"mailto://{host}?from=platestream@lab.example&to=night@lab.example",
        }
        applied = apply(clean, project, **addresses)
        assert applied["block ms-teams-webhook/platestream-messages"] == "created"
        hour = (time.gmtime().tm_hour - 13) % 24
        senders = [Messenger(store, settings_of(clean, tmp_path, message_digest_hour=hour)) for _ in range(2)]
        assert [sender.look() for sender in senders] == [4, 0]
        assert send_test(settings_of(clean, tmp_path), time.time()) == dict.fromkeys(
            ("slack", "teams", "webhook", "email"), "taken"
        )
        assert "automation platestream alerts" not in {name for name, change in applied.items() if change == "created"}
    assert [len(each) for each in (said, carded, got, mail)] == [2, 2, 2, 2]
    assert said[0][1]["text"] == "screen/P1 is published: warn"
    assert carded[0][1]["attachments"][0]["content"]["body"][0]["text"] == "screen/P1 is published: warn"
    assert got[0][1]["message"]["verdict"] == "warn"
    assert "Subject: screen/P1 is published: warn" in mail[0]
    assert "canary" not in "".join(store.read(item.key).decode() for item in store.list("").objects)


def test_what_a_person_wrote_into_a_block_is_kept_and_used(clean: str, project: Path, tmp_path: Path) -> None:
    with webhook() as (hook, got):
        apply(clean, project, message_webhook=hook)
        with httpx.Client(base_url=clean, trust_env=False, timeout=60) as client:
            found = client.get("/block_types/slug/webhook/block_documents/name/platestream-messages").json()
            own = {"data": {"headers": {"Authorization": "Bearer own"}}, "merge_existing_data": True}
            client.patch(f"/block_documents/{found['id']}", json=own).raise_for_status()
        assert apply(clean, project, message_webhook=hook)["block webhook/platestream-messages"] == "unchanged"
        assert send_test(settings_of(clean, tmp_path), time.time()) == {"webhook": "taken"}
    assert got[0][0]["Authorization"] == "Bearer own"


def test_the_doctor_knows_the_channels_and_what_reached_nobody(clean: str, project: Path, tmp_path: Path) -> None:
    settings = settings_of(clean, tmp_path)
    [nobody] = check_messages(settings)
    assert (nobody.level, nobody.to_do[:30]) == ("note", "set PLATESTREAM_MESSAGE_SLACK,")
    apply(clean, project, message_slack="https://hooks.slack.com/services/T/B/canary")
    assert [channel.name for channel in read_channels(settings)] == ["slack"]
    assert "canary" not in repr(read_channels(settings))
    ways, links = check_messages(settings)
    assert (ways.level, ways.what) == ("fine", "they are sent by slack; `platestream messages --test` tries it")
    assert (links.level, links.what) == ("note", "they have no links to pages")
    store = FolderStore(tmp_path / "lab")
    outbox.tell(store, note())
    [delivery] = outbox.list_deliveries(store, time.time())
    outbox.begin(store, delivery, "slack", 1)
    *_, lost = check_messages(settings_of(clean, tmp_path, message_links="https://lab.example"))
    assert (lost.level, lost.what[:34]) == ("wrong", "1 of the last days reached nobody,")
    assert [finding.level for finding in check_alerts(settings)] == ["note"]  # alerts have ways of their own


def test_the_command_lists_messages_and_tests_channels(
    clean: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", clean)
    lab = ["--store", str(tmp_path / "lab")]
    store = FolderStore(tmp_path / "lab")
    outbox.tell(store, note())
    run = CliRunner().invoke
    untried = run(app, ["messages", "--test", *lab])
    assert (untried.exit_code, untried.output.startswith("there is no channel")) == (1, True)
    with webhook([500]) as (hook, _):
        apply(clean, project, message_webhook=hook)
        assert run(app, ["messages", "--test", *lab]).exit_code == 1
        tried = run(app, ["messages", "--test", *lab])
        assert (tried.exit_code, tried.output) == (0, "webhook: taken\n")
    shown = run(app, ["messages", *lab])
    assert shown.output.rstrip().endswith(": webhook waiting")
    assert '"webhook": "waiting"' in run(app, ["messages", "--json", *lab]).output


def test_a_server_that_is_not_there_is_said_without_an_address(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match="does not say where messages go"):
        read_channels(Settings(api_url="http://127.0.0.1:9/api", store=str(tmp_path)))
    assert list(check_messages(Settings(api_url="http://127.0.0.1:9/api", store=str(tmp_path)))) == []


@pytest.mark.parametrize(
    ("channel", "address"), [("message_teams", "ftp://canary"), ("message_email", "night@canary.example")]
)
def test_an_address_of_another_form_is_refused_and_not_repeated(channel: str, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PLATESTREAM_{channel.upper()} must be an address") as caught:
        apply_channels(None, Settings(**{channel: address}))  # pyright: ignore[reportArgumentType]
    assert "canary" not in str(caught.value)
