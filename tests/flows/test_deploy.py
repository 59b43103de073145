from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.clusters.alerts import NO_PROGRESS
from flows.declared import FOLDER, PROJECT, ROOT, read_automations, read_deployments, read_environment
from flows.deploy import Applied, deploy
from flows.events import BACKGROUND_WORK, IMAGES_ARRIVED, ImagesArrived, emit
from flows.serve import background_places, load_flow, make_deployment, serve_service
from flows.settings import Settings
from flows.watchdogs.channels import BLOCKS
from flows.watchdogs.rounds import ALERT
from imaging.errors import ConfigurationError, MissingPartError
from imaging.plate_recipes import BACKGROUND


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    declared = yaml.safe_load(path.read_text())
    edit(declared)
    path.write_text(yaml.safe_dump(declared))


def apply(server: str, project: Path) -> dict[str, str]:
    return {f"{each.kind} {each.name}": each.change for each in deploy(settings=Settings(api_url=server), root=project)}


def names_on(server: str) -> list[str]:
    answer = httpx.post(f"{server}/automations/filter", json={}, trust_env=False)
    return sorted(automation["name"] for automation in answer.raise_for_status().json())


TRIGGER, DEAD_RUNS = "automation images of a plate arrived", "automation platestream dead runs"
POOL, DEPLOYMENT = "work pool platestream", "deployment process-plate"
UNCHANGED = {POOL: "unchanged", DEPLOYMENT: "unchanged", TRIGGER: "unchanged", DEAD_RUNS: "unchanged"}


def test_our_prefect_yaml_declares_the_flow_of_a_plate() -> None:
    declared = read_deployments()[0]
    assert declared.entrypoint == "flows.process_plate.process_plate"
    (trigger,) = declared.triggers
    assert trigger["expect"] == [IMAGES_ARRIVED]
    assert (trigger["threshold"], trigger["within"], trigger["for_each"]) == (1, 0, ["prefect.resource.id"])
    assert declared.work_pool.name == read_environment("local").work_pool.name
    flow = load_flow(declared.entrypoint)
    assert set(trigger["parameters"]) == {"experiment", "plate", "recipe"}
    assert set(flow.parameters.properties) == {"experiment", "plate", "recipe", "priority"}


def test_what_can_wait_is_run_by_few_at_a_time_behind_plates_that_are_imaged() -> None:
    production, background, *_ = read_deployments()
    assert background.entrypoint == production.entrypoint
    assert background.parameters == {"priority": BACKGROUND}
    assert background.concurrency_limit is not None
    assert background.work_pool.work_queue_name != production.work_pool.work_queue_name
    (trigger,) = background.triggers
    assert trigger["expect"] == [BACKGROUND_WORK]
    assert trigger["parameters"] == production.triggers[0]["parameters"]
    assert background_places([production, background]) == background.concurrency_limit


def test_the_queue_of_what_can_wait_comes_behind_that_of_plates(server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    declared = yaml.safe_load((ROOT / PROJECT).read_text())
    for each in declared["deployments"]:
        each["entrypoint"] = "tests.flows.tiny_flow.tiny"
        each["triggers"] = []
    del declared["deployments"][2:]
    (tmp_path / PROJECT).write_text(yaml.safe_dump(declared))
    deploy(settings=Settings(api_url=server), root=tmp_path)
    with get_client(sync_client=True) as client:
        queues = {each.name: each.priority for each in client.read_work_queues(work_pool_name="platestream")}
        background = client.read_deployment_by_name("tiny/process-plate-background")
        client.delete_deployment(background.id)
    assert background.work_queue_name == "background"
    assert queues["default"] < queues["background"]  # Prefect takes runs of the smallest number first


def test_our_automations_call_runs_without_a_heartbeat_crashed() -> None:
    dead_runs = read_automations()[0]
    assert dead_runs["trigger"]["posture"] == "Proactive"
    assert dead_runs["trigger"]["within"] >= 90  # seconds; a run sends one every 30 s at best
    assert dead_runs["actions"][0]["state"] == "CRASHED"


def test_our_alerts_are_sent_one_by_one_by_the_blocks_that_deploying_makes() -> None:
    alerts = read_automations()[1]
    assert alerts["trigger"]["expect"] == [ALERT, NO_PROGRESS]
    assert (alerts["trigger"]["threshold"], alerts["trigger"]["within"]) == (1, 0)
    assert [action["block"] for action in alerts["actions"]] == [
        "/".join(BLOCKS[name]) for name in BLOCKS if name.startswith("alert_")
    ]


def test_the_runner_serves_the_same_deployment(project: Path) -> None:
    (declared,) = read_deployments(project)
    deployment = make_deployment(declared)
    assert (deployment.name, deployment.flow_name) == ("process-plate", "tiny")
    assert deployment.entrypoint == "tests.flows.tiny_flow.tiny"
    assert deployment.work_pool_name is None
    (trigger,) = deployment.triggers
    assert trigger.expect == {IMAGES_ARRIVED}
    assert trigger.parameters == declared.triggers[0]["parameters"]


def test_the_runner_is_a_service_whose_runs_outlive_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "private")
    service = serve_service(Settings(api_url="http://127.0.0.1:9/api"), tmp_path / "log")
    assert service.is_outlived
    assert service.is_ready is not None
    assert not service.is_ready()
    assert service.environment is not None
    assert service.environment["PREFECT_API_URL"] == "http://127.0.0.1:9/api"
    assert service.environment["PLATESTREAM_API_URL"] == "http://127.0.0.1:9/api"
    assert "PREFECT_PROFILE" not in service.environment


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: d["deployments"][0].update(schedules=[]), r"deployments\[0\]\.schedules: Extra inputs"),
        (lambda d: d["deployments"][0].pop("name"), r"deployments\[0\]\.name: Field required"),
        (
            lambda d: d["deployments"][0].update(entrypoint="flows/a.py:f"),
            r"deployments\[0\]\.entrypoint: String should",
        ),
        (lambda d: d.update(pull=["x"]), r"pull: List should have at most 0"),
    ],
)
def test_what_would_not_be_applied_is_refused(project: Path, edit: Callable[[Any], Any], sentence: str) -> None:
    change(project / "prefect.yaml", edit)
    with pytest.raises(ConfigurationError, match=sentence):
        read_deployments(project)


def test_a_file_that_is_no_yaml_is_named(project: Path) -> None:
    (project / "deployments" / "local.yaml").write_text("a: [")
    with pytest.raises(ConfigurationError, match=r"no YAML[\s\S]*local\.yaml|local\.yaml[\s\S]*no YAML"):
        read_environment("local", project)


def test_an_unknown_environment_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="there is no environment 'lbo'; there are: gcp, local"):
        read_environment("lbo")


def test_without_the_repository_its_files_are_said_to_be_missing(tmp_path: Path) -> None:
    for read in (read_deployments, read_automations, lambda root: read_environment("local", root)):
        with pytest.raises(MissingPartError, match="come with the repository"):
            read(tmp_path)


def test_an_automation_without_a_name_is_refused(project: Path) -> None:
    change(project / "deployments" / "automations.yaml", lambda d: d[0].pop("name"))
    with pytest.raises(ConfigurationError, match=r"\[0\]\.name is missing"):
        read_automations(project)


def test_a_flow_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"flows\.nothing\.flow, which cannot be imported"):
        load_flow("flows.nothing.flow")
    with pytest.raises(ConfigurationError, match=r"flows\.settings\.flow, which cannot be imported"):
        load_flow("flows.settings.flow")


def test_a_trigger_that_prefect_does_not_take_is_refused(project: Path) -> None:
    change(project / "prefect.yaml", lambda d: d["deployments"][0]["triggers"][0].update(threshold="many"))
    with pytest.raises(ConfigurationError, match=r"deployment process-plate is at fault[\s\S]*threshold"):
        make_deployment(read_deployments(project)[0])


def test_a_work_pool_that_the_environment_lacks_is_refused(project: Path) -> None:
    change(project / "deployments" / "local.yaml", lambda d: d["work_pool"].update(name="other"))
    with pytest.raises(ConfigurationError, match="work pool platestream, and the environment local has other"):
        deploy(settings=Settings(api_url="http://127.0.0.1:9/api"), root=project)


def test_without_a_server_its_address_is_named(project: Path) -> None:
    with pytest.raises(MissingPartError, match=r"no Prefect server answers at http://127\.0\.0\.1:9/api"):
        deploy(settings=Settings(api_url="http://127.0.0.1:9/api"), root=project)


def test_what_was_done_reads_as_a_sentence() -> None:
    assert str(Applied("work pool", "platestream", "created")) == "work pool platestream: created"


def test_deploying_twice_changes_nothing(deployed: str, project: Path) -> None:
    before = names_on(deployed)
    assert apply(deployed, project) == UNCHANGED
    assert names_on(deployed) == before == ["images of a plate arrived", "platestream dead runs"]


def test_deploying_after_a_change_of_prefect_yaml_updates(deployed: str, project: Path) -> None:
    change(project / "prefect.yaml", lambda d: d["deployments"][0].update(description="Other words."))
    assert apply(deployed, project) == UNCHANGED | {DEPLOYMENT: "updated"}
    change(project / "prefect.yaml", lambda d: d["deployments"][0]["triggers"][0].update(within=40))
    assert apply(deployed, project) == UNCHANGED | {TRIGGER: "updated"}
    change(project / "deployments" / "automations.yaml", lambda d: d[0].update(enabled=False))
    assert apply(deployed, project) == UNCHANGED | {DEAD_RUNS: "updated"}
    assert apply(deployed, project) == UNCHANGED
    assert len(names_on(deployed)) == 2


def test_deploying_after_a_change_of_the_environment_updates(deployed: str, project: Path) -> None:
    local = project / "deployments" / "local.yaml"
    change(local, lambda d: d["work_pool"].update(concurrency_limit=3))
    assert apply(deployed, project) == UNCHANGED | {POOL: "updated"}
    change(local, lambda d: d.update(job_variables={"env": {"PLATESTREAM_LINGER_S": "5"}}))
    assert apply(deployed, project) == UNCHANGED | {DEPLOYMENT: "updated"}


def test_a_work_pool_of_another_type_is_not_taken_over(deployed: str, project: Path) -> None:
    change(project / "deployments" / "local.yaml", lambda d: d["work_pool"].update(type="docker"))
    with pytest.raises(ConfigurationError, match="has the type process, declared is docker"):
        apply(deployed, project)


def test_automations_that_left_the_files_are_removed(deployed: str, project: Path) -> None:
    (project / "deployments" / "automations.yaml").write_text("[]")
    change(project / "prefect.yaml", lambda d: d["deployments"][0]["triggers"][0].update(name="renamed"))
    applied = apply(deployed, project)
    assert applied[DEAD_RUNS] == applied[TRIGGER] == "removed"
    assert names_on(deployed) == ["renamed"]


def test_a_doubled_automation_of_a_deployment_is_made_one(deployed: str, project: Path) -> None:
    answer = httpx.post(f"{deployed}/automations/filter", json={}, trust_env=False).json()
    (trigger,) = [automation for automation in answer if automation["name"] == "images of a plate arrived"]
    second = {name: trigger[name] for name in ("name", "trigger", "actions")}
    httpx.post(f"{deployed}/automations/", json=second, trust_env=False).raise_for_status()
    assert len(names_on(deployed)) == 3
    apply(deployed, project)
    assert names_on(deployed) == ["images of a plate arrived", "platestream dead runs"]


def test_an_automation_that_prefect_does_not_take_is_refused(deployed: str, project: Path) -> None:
    change(project / "deployments" / "automations.yaml", lambda d: d[0]["trigger"].update(posture="Sideways"))
    with pytest.raises(ConfigurationError, match=r"automations\.yaml is at fault[\s\S]*posture"):
        apply(deployed, project)


def test_repository_files_are_found() -> None:
    assert (ROOT / "prefect.yaml").is_file()


def test_a_clock_that_was_ahead_holds_up_no_run(deployed: str) -> None:
    now = datetime.now(UTC)
    with httpx.Client(base_url=deployed, trust_env=False, timeout=60) as client:
        for number, occurred in enumerate((now + timedelta(hours=1), now, now + timedelta(seconds=1)), start=1):
            emit(deployed, ImagesArrived(experiment="jump", plate="P1", recipe="v1-1", occurred=occurred))
            wait_for(lambda count=number: len(runs_of(client, "jump", "P1")) >= count)


def runs_of(client: httpx.Client, experiment: str, plate: str) -> list[dict[str, Any]]:
    """Runs of a plate that the server has made."""
    runs = client.post("/flow_runs/filter", json={"sort": "ID_DESC"}).raise_for_status().json()
    place = experiment, plate
    return [run for run in runs if (run["parameters"].get("experiment"), run["parameters"].get("plate")) == place]


def wait_for(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
