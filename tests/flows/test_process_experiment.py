"""The flow of an experiment: whoever wakes it, it analyses what is published, once, and tells of it."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.declared import read_deployments
from flows.events import EXPERIMENT_CHANGED, EXPERIMENT_UPDATED, ExperimentChanged, Published, emit
from flows.messages.message import UPDATED
from flows.serve import background_places, load_flow
from flows.settings import Settings
from imaging.analyses.analysis_records import analyses_folder, heartbeat_key, list_analyses, read_analyses
from imaging.analyses.projection import board_key
from imaging.analyses.pulse import beating, is_analysed
from imaging.analyses.quiet import LONGEST, wait_until_quiet
from imaging.names import experiment_key
from imaging.query import run_query
from imaging.store import FolderStore
from imaging.warehouse.connection import Warehouse
from tests.imaging import small_analyses, small_screen
from tests.imaging.small_analyses import EXPERIMENT, publish
from tests.standins.bigquery_jobs import BigQueryJobs


@pytest.fixture
def lab(folder_store: FolderStore, server: str, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    monkeypatch.setenv("PLATESTREAM_STORE", str(folder_store.root))
    monkeypatch.setenv("PREFECT_API_URL", server)
    small_analyses.declare(folder_store)
    return folder_store


def analyse(experiment: str = EXPERIMENT) -> None:
    from flows.process_experiment import process_experiment

    process_experiment(experiment, quiet_s=0.0)


def sent(server: str, kind: str, since: Any) -> list[dict[str, Any]]:
    """Events of a kind that the server has; it takes a moment to show them."""
    import httpx

    wanted = {"filter": {"event": {"name": [kind]}, "occurred": {"since": since.isoformat()}}}
    return httpx.post(f"{server}/events/filter", json=wanted, trust_env=False).json()["events"]


def test_a_run_analyses_what_is_published_and_tells_of_it(lab: FolderStore, server: str) -> None:
    from datetime import UTC, datetime

    began = datetime.now(UTC)
    for plate in ("P1", "P2"):
        publish(lab, plate)
    analyse()
    assert run_query(lab, "SELECT COUNT(*) AS n FROM hits WHERE is_hit").to_pylist() == [{"n": 4}]
    page = lab.read(board_key(EXPERIMENT)).decode()
    assert "Analysis recipes of screen" in page
    assert lab.modified(heartbeat_key(EXPERIMENT)) is None
    deadline = time.monotonic() + 30
    while not (events := sent(server, EXPERIMENT_UPDATED, began)) and time.monotonic() < deadline:
        time.sleep(0.2)
    (event,) = events
    assert event["resource"]["prefect.resource.id"] == f"experiment.{EXPERIMENT}"
    assert (event["payload"]["number"], event["payload"]["hits"], event["payload"]["is_analysed"]) == (1, 4, True)
    before = sorted(item.key for item in lab.list(analyses_folder(EXPERIMENT)).objects)
    analyse()  # the same event once more, or late
    after = sorted(item.key for item in lab.list(analyses_folder(EXPERIMENT)).objects)
    assert [key for key in after if "clock" not in key] == [key for key in before if "clock" not in key]


def test_a_run_leaves_an_experiment_to_whoever_analyses_it(lab: FolderStore) -> None:
    publish(lab, "P1")
    with beating(lab, EXPERIMENT, "another run", every_s=60.0):
        while not is_analysed(lab, EXPERIMENT, stale_s=90.0):
            time.sleep(0.01)
        analyse()
        assert list_analyses(lab, EXPERIMENT).numbers == {}
        assert not is_analysed(lab, EXPERIMENT, stale_s=90.0, now=time.time() + 91.0)
    analyse()
    assert len(list_analyses(lab, EXPERIMENT).numbers) == 1


def test_a_plate_that_is_published_while_a_run_analyses_is_in_its_next_look(
    lab: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import process_experiment as module

    publish(lab, "P1")
    tell = module.tell

    def tell_late(record: Any, *values: Any) -> None:
        if record.number == 1:
            publish(lab, "P2")  # its event finds somebody at it
        tell(record, *values)

    monkeypatch.setattr(module, "tell", tell_late)
    analyse()
    rows = run_query(
        lab, "SELECT number, ARRAY_LENGTH(publications) AS plates FROM analyses ORDER BY number"
    ).to_pylist()
    assert rows == [{"number": 1, "plates": 1}, {"number": 2, "plates": 2}]


@pytest.mark.parametrize("step", ["project_experiment", "tell_analysis", "told_key"])
def test_a_run_that_was_killed_between_its_record_and_its_messages_is_made_up_for(
    lab: FolderStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from flows import process_experiment as module

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    publish(lab, "P1")
    with monkeypatch.context() as patched:
        patched.setattr(module, step, kill)
        with pytest.raises(KeyboardInterrupt):
            analyse()
    (record,) = read_analyses(lab, list_analyses(lab, EXPERIMENT))
    assert list_analyses(lab, EXPERIMENT).told == frozenset()
    for _ in range(2):  # by the next run; and not once more by the one after that
        analyse()
        assert list_analyses(lab, EXPERIMENT).told == {(record.recipe, 1)}
        assert b"Analysis recipes of screen" in lab.read(board_key(EXPERIMENT))
        told = [item.key for item in lab.list("messages/").objects if item.key.endswith("/message.json")]
        assert [f"/{UPDATED}-" in key for key in told] == [True]
    assert read_analyses(lab, list_analyses(lab, EXPERIMENT)) == [record]


def test_an_experiment_without_plates_or_with_a_faulty_recipe_ends_in_one_sentence(lab: FolderStore) -> None:
    from imaging.errors import ConfigurationError

    analyse("nothing")
    assert lab.list("results/nothing/").objects == (), "a mistyped name leaves nothing behind"
    small_analyses.declare(lab, b"normalise: {}\n")
    publish(lab, "P1")
    with pytest.raises(ConfigurationError, match="normalise"):
        analyse()
    assert lab.modified(heartbeat_key(EXPERIMENT)) is None


def test_a_new_analysis_is_loaded_into_the_warehouse(
    lab: FolderStore, bigquery_jobs: BigQueryJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write(experiment_key(EXPERIMENT), small_screen.YAML)
    variables = {"BIGQUERY_EMULATOR": bigquery_jobs.url, "GOOGLE_PROJECT": "lab", "DATASET": "screens"}
    for name, value in (variables | {"DATASET_LOCATION": "EU"}).items():
        monkeypatch.setenv(f"PLATESTREAM_{name}", value)
    publish(lab, "P1")
    publish(lab, "P2")
    analyse()
    rows = Warehouse(bigquery_jobs.client(), "screens").ask("SELECT COUNT(*) AS n FROM screens.hits WHERE is_hit")
    assert rows == [{"n": 4}]


def test_a_burst_is_waited_for_and_not_for_ever(folder_store: FolderStore) -> None:
    small_analyses.record(folder_store, "P1", 1, published_at="2026-02-03T05:00:00+00:00", run="r")
    published = 1_770_094_800.0
    clock = [published + 4.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds
        if len(slept) == 1:  # another plate, meanwhile
            small_analyses.record(folder_store, "P2", 1, published_at="2026-02-03T05:00:10+00:00", run="r")

    assert wait_until_quiet(folder_store, EXPERIMENT, 15.0, sleep=sleep, now=lambda: clock[0]) == 21.0
    assert slept == [11.0, 10.0]
    slept.clear()
    wait_until_quiet(folder_store, EXPERIMENT, 15.0, sleep=slept.append, now=lambda: published + 11.0)
    assert len(slept) <= LONGEST * 15.0 / 14.0 + 1  # plates that are published on and on are analysed all the same
    assert wait_until_quiet(folder_store, EXPERIMENT, 0.0, sleep=slept.append, now=lambda: published) == 0.0


def test_our_prefect_yaml_analyses_what_the_watcher_finds_and_not_each_publication() -> None:
    declared = next(each for each in read_deployments() if each.name == "process-experiment")
    (trigger,) = declared.triggers
    assert (trigger["expect"], trigger["for_each"]) == ([EXPERIMENT_CHANGED], ["prefect.resource.id"])
    flow = load_flow(declared.entrypoint)
    assert set(trigger["parameters"]) == {"experiment"}
    assert set(flow.parameters.properties) == {"experiment", "quiet_s"}
    assert background_places([declared]) == 1  # it takes no plate's place


def test_the_watcher_s_event_starts_a_run_and_a_publication_none(server: str, project: Path) -> None:
    from flows.deploy import deploy

    declared: dict[str, Any] = yaml.safe_load((project / "prefect.yaml").read_text())
    ours = next(each for each in read_deployments() if each.name == "process-experiment").model_dump()
    tiny = {"entrypoint": "tests.flows.tiny_flow.tiny", "parameters": {"plate": "any"}}  # it needs one
    declared["deployments"] = [{**ours, **tiny}]
    (project / "prefect.yaml").write_text(yaml.safe_dump(declared))
    deploy(settings=Settings(api_url=server), root=project)
    experiment = uuid.uuid4().hex
    emit(server, Published(experiment=experiment, plate="0012", number=1))
    emit(server, ExperimentChanged(experiment=experiment, reason="2 plates to analyse"))
    deadline = time.monotonic() + 60
    while not runs(server, experiment) and time.monotonic() < deadline:
        time.sleep(0.1)
    declared["deployments"][0]["triggers"] = []  # the server is that of all tests
    (project / "prefect.yaml").write_text(yaml.safe_dump(declared))
    deploy(settings=Settings(api_url=server), root=project)
    assert [run["parameters"] for run in runs(server, experiment)] == [{"experiment": experiment, "plate": "any"}]


def runs(server: str, experiment: str) -> list[dict[str, Any]]:
    import httpx

    answer = httpx.post(f"{server}/flow_runs/filter", json={"sort": "ID_DESC"}, trust_env=False).json()
    return [run for run in answer if run["parameters"].get("experiment") == experiment]
