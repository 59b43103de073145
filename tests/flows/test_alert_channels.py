"""Alerts on their way to people: a real Prefect server, its automation, and receivers that really listen."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.deploy import deploy, deploy_alerts
from flows.doctor_services import check_alerts, check_server
from flows.events import emit
from flows.settings import Settings, child_environment
from flows.watchdogs.alert import Alert
from flows.watchdogs.channels import apply_channels
from flows.watchdogs.gather import find_late_runs
from flows.watchdogs.rounds import AlertEvent
from imaging.errors import ConfigurationError
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


def delete(client: httpx.Client, address: str) -> bool:
    """Delete something; ``False`` while SQLite is busy with the end of an action."""
    answer = client.delete(address)
    return answer.status_code != httpx.codes.SERVICE_UNAVAILABLE and bool(answer.raise_for_status())


def remove_blocks(server: str) -> None:
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        for block in client.post("/block_documents/filter", json={}).raise_for_status().json():
            if block["name"].startswith("platestream-alerts"):
                wait_for(lambda: delete(client, f"/block_documents/{block['id']}"), "end of a block")  # noqa: B023


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
    what = 'nothing of "screen"/P1 <b> has been done since 2026-02-03 04:05 UTC (31 min)'
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
        wait_for(lambda: min(map(len, (posted, said, letters))) > 1, "second message")
    assert len(said) == len(letters) == 2
    headers, body = posted[0]
    assert headers["Content-Type"] == "application/json"
    assert body["text"] == sent.message
    assert (body["alert"]["kind"], body["alert"]["plate"], body["alert"]["news"]) == ("plate-stuck", "P1", "new")
    assert [body["alert"]["news"] for _, body in posted] == ["new", "over"]
    assert sent.message in said[0][1]["message"]
    assert "To: night@lab.example" in letters[0]
    assert "Subject: Platestream: plate-stuck screen/P1/v1-0" in letters[0]


def test_blocks_that_were_made_once_serve_whoever_deploys_without_the_addresses(clean: str, project: Path) -> None:
    with webhook() as (address, posted):
        secret = f"{address}/hook?token=canary"
        apply(clean, project, alert_webhook=secret)
        with httpx.Client(base_url=clean, trust_env=False, timeout=60) as client:
            found = client.get("/block_types/slug/webhook/block_documents/name/platestream-alerts").json()
            own = {"data": {"headers": {"Authorization": "Bearer own"}}, "merge_existing_data": True}
            client.patch(f"/block_documents/{found['id']}", json=own).raise_for_status()
            assert "canary" not in client.post("/block_documents/filter", json={}).text
            assert "canary" not in client.post("/automations/filter", json={}).text
        without = apply(clean, project)
        assert without[AUTOMATION] == "unchanged"
        assert not [name for name in without if name.startswith("block")]
        assert apply(clean, project, alert_webhook=secret)["block webhook/platestream-alerts"] == "unchanged"
        emit(clean, event())
        wait_for(lambda: posted, "message")
    assert posted[0][0]["Authorization"] == "Bearer own"
    remove_blocks(clean)
    assert apply(clean, project)[AUTOMATION] == "removed"


def test_on_one_machine_alerts_are_set_up_without_deploying_anything_else(clean: str) -> None:
    applied = deploy_alerts(Settings(api_url=clean, alert_webhook="https://lab.example/hook"))  # pyright: ignore[reportArgumentType]
    changed = {f"{each.kind} {each.name}": each.change for each in applied if each.change != "unchanged"}
    assert changed == {"block webhook/platestream-alerts": "created", AUTOMATION: "created"}


def test_processes_that_apply_automations_at_once_make_each_only_once(clean: str, tmp_path: Path) -> None:
    settings = Settings(api_url=clean, state_folder=tmp_path, alert_webhook="https://lab.example/hook")  # pyright: ignore[reportArgumentType]
    with ThreadPoolExecutor(4) as pool:
        applied = [future.result() for future in [pool.submit(deploy_alerts, settings) for _ in range(4)]]
    changes = [each.change for found in applied for each in found if f"{each.kind} {each.name}" == AUTOMATION]
    assert sorted(changes) == ["created", "unchanged", "unchanged", "unchanged"]


@pytest.mark.parametrize(
    ("channel", "address"),
    [("alert_webhook", "ftp://canary"), ("alert_slack", "canary"), ("alert_email", "night@canary.example")],
)
def test_an_address_of_another_form_is_refused_and_not_repeated(channel: str, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PLATESTREAM_{channel.upper()} must be an address") as caught:
        apply_channels(None, Settings(**{channel: address}))  # pyright: ignore[reportArgumentType]
    assert "canary" not in str(caught.value)


def test_no_process_gets_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(alert_webhook="https://canary", alert_slack="https://canary", alert_email="mailtos://canary")  # pyright: ignore[reportArgumentType]
    assert "canary" not in str(settings.as_environment())
    assert "canary" not in repr(settings)
    monkeypatch.setenv("PLATESTREAM_ALERT_EMAIL", "mailtos://canary")
    assert "canary" not in str(child_environment({}))


def test_runs_of_plates_that_nobody_runs_are_late_since_they_should_have_begun_and_no_others(clean: str) -> None:
    settings = Settings(api_url=clean)
    known = len(find_late_runs(settings, time.time() + 3600))
    with httpx.Client(base_url=clean, trust_env=False, timeout=60) as client:
        deployment = client.get("/deployments/name/tiny/process-plate").raise_for_status().json()
        other = {"name": "load-warehouse", "flow_id": deployment["flow_id"]}
        others = client.post("/deployments/", json=other).raise_for_status().json()
        run = {"flow_id": deployment["flow_id"], "tags": ["platestream"]}
        for minute, of in ((5, deployment), (4, others)):
            details = {"scheduled_time": f"2026-02-03T04:0{minute}:00+00:00"}
            run |= {"state": {"type": "SCHEDULED", "state_details": details}, "deployment_id": of["id"]}
            client.post("/flow_runs/", json=run).raise_for_status()
        late = find_late_runs(settings, time.time() + 3600)
        wait_for(lambda: delete(client, f"/deployments/{others['id']}"), "end of a deployment")
    assert len(late) == known + 1
    assert min(late) == 1_770_091_500.0


def test_the_doctor_says_what_the_server_lacks(clean: str, tmp_path: Path) -> None:
    with httpx.Client(base_url=clean, trust_env=False, timeout=60) as client:
        lacking = {"deployments": {"name": {"any_": ["process-plate-background"]}}}  # that others may have deployed
        for each in client.post("/deployments/filter", json=lacking).raise_for_status().json():
            wait_for(lambda address=f"/deployments/{each['id']}": delete(client, address), "end of a deployment")
    findings = {each.about: each for each in check_server(Settings(api_url=clean))}
    assert findings["server"].level == "fine"
    assert findings["clocks"].what == "that of the Prefect server agrees with ours"
    assert findings["automation images of a plate arrived"].level == "fine"
    assert findings["automation work that can wait"].what == "it is not registered"
    missing = findings["flow process-plate-background"]
    assert (missing.level, missing.what) == ("wrong", "it is not registered, so no event starts it")
    assert "platestream deploy" in missing.to_do
    (alerts,) = check_alerts(Settings(api_url=clean))
    assert (alerts.level, alerts.to_do[:31]) == ("note", "set PLATESTREAM_ALERT_WEBHOOK, ")
