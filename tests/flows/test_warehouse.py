"""`platestream warehouse`, the flow of a published plate, and what both do without BigQuery."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.declared import read_deployments
from flows.events import PUBLISHED, Published, emit
from flows.serve import load_flow, served_deployments
from flows.settings import Settings
from flows.warehouse import keep, open_rounds, tell
from imaging.errors import ConfigurationError, PlacementError, RefusedLoadError
from imaging.names import experiment_key
from imaging.store import FolderStore
from tests.flows.command_line import Outcome, command_line
from tests.imaging import small_screen
from tests.imaging.small_screen import manifest, publish, write_manifest
from tests.imaging.small_warehouse import counts
from tests.standins.bigquery_jobs import BigQueryJobs


@pytest.fixture
def lab(folder_store: FolderStore, bigquery_jobs: BigQueryJobs, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store with an experiment, and an environment that names a dataset."""
    folder_store.write(experiment_key("screen"), small_screen.YAML)
    variables = {"BIGQUERY_EMULATOR": bigquery_jobs.url, "GOOGLE_PROJECT": "lab", "DATASET": "screens"}
    variables |= {"STORE": str(folder_store.root), "DATASET_LOCATION": "EU"}
    for name, value in variables.items():
        monkeypatch.setenv(f"PLATESTREAM_{name}", value)
    return folder_store


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Outcome]:
    return command_line(monkeypatch, capfd, tmp_path)


def test_the_command_loads_what_is_missing_and_shows_it(lab: FolderStore, run: Callable[..., Outcome]) -> None:
    publish(lab)
    write_manifest(lab, manifest("A01", 1, plate="P2"))
    first = run("warehouse", "--once")
    assert (first.status, first.err) == (0, "")
    heading, row, *more = first.out.splitlines()
    assert heading.split() == ["experiment", "plate", "number", "status", "tables", "rows", "jobs", "seconds"]
    assert row.split()[:7] == ["screen", "P1", "1", "complete", "11", "148", "12"]
    live = (
        "2 rows of plates in progress into image_metrics_live",
        "1 row of plates in progress into site_metrics_live",
    )
    assert more == list(live)
    lab.delete(f"{small_screen.results('P2')}sites/A01-1-A011in.json")
    assert run("warehouse", "--once").out == "the warehouse holds everything that is published\n"


def test_the_command_names_what_is_refused_and_fails(lab: FolderStore, run: Callable[..., Outcome]) -> None:
    keys = publish(lab)
    lab.write(keys["wells"], b"no Parquet")
    outcome = run("warehouse", "--once")
    assert outcome.status == 1
    assert outcome.err.startswith("screen/P1, publication 1 (v1-0123abcd): a published table cannot be read")


def test_without_a_dataset_the_command_says_so(
    lab: FolderStore, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLATESTREAM_DATASET")
    outcome = run("warehouse")
    assert outcome.status == 2
    assert outcome.err == "error: there is no warehouse: set PLATESTREAM_DATASET to the name of a BigQuery dataset\n"


def test_an_outage_is_said_once_and_waited_for(
    lab: FolderStore, bigquery_jobs: BigQueryJobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flows.warehouse")
    publish(lab)
    rounds = open_rounds(Settings(), tell)
    object.__setattr__(rounds.loader.warehouse, "patience_s", 0.0)
    bigquery_jobs.is_down = True
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        bigquery_jobs.is_down = len(slept) < 3
        if len(slept) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep(rounds, interval_s=60.0, sleep=sleep)
    assert slept == [120.0, 240.0, 480.0, 60.0, 60.0]
    assert caplog.text.count("BigQuery does not take work for the dataset screens") == 1
    assert caplog.text.count("the warehouse takes rows again") == 1
    assert "screen/P1, publication 1 (v1-0123abcd): 148 rows by 12 jobs" in caplog.text
    assert counts(bigquery_jobs.client(), "plate_runs") == {"plate_runs": 1}


def test_results_do_not_go_where_the_experiment_must_not_be(
    lab: FolderStore, bigquery_jobs: BigQueryJobs, caplog: pytest.LogCaptureFixture
) -> None:
    placed = small_screen.YAML + b"placement: {allowed: [us], reason: contract 12}\n"
    lab.write(experiment_key("screen"), placed)
    publish(lab)
    rounds = open_rounds(Settings(), tell)
    assert rounds.round() == {}
    assert "the dataset screens is in EU" in caplog.text
    assert bigquery_jobs.loads() == []
    with pytest.raises(PlacementError, match="contract 12"):
        rounds.loader.load_plate("screen", "P1")


def test_the_flow_loads_its_plate(
    server: str, lab: FolderStore, bigquery_jobs: BigQueryJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.load_warehouse import load_warehouse

    publish(lab)
    publish(lab, 1, plate="P2", run="other")
    load_warehouse("screen", "P1")
    assert counts(bigquery_jobs.client(), "plate_runs", "images") == {"plate_runs": 1, "images": 24}
    keys = publish(lab, 2, run="run2")
    lab.write(keys["sites"], b"no Parquet")
    with pytest.raises(RefusedLoadError, match="publication 2: a published table cannot be read"):
        load_warehouse("screen", "P1")
    monkeypatch.delenv("PLATESTREAM_DATASET")
    assert load_warehouse("screen", "P2") is None
    assert counts(bigquery_jobs.client(), "plate_runs") == {"plate_runs": 1}


def test_our_prefect_yaml_loads_each_published_plate() -> None:
    declared = read_deployments()[-1]
    (trigger,) = declared.triggers
    assert (trigger["expect"], trigger["within"]) == ([PUBLISHED], 0)
    flow = load_flow(declared.entrypoint)
    assert set(trigger["parameters"]) == set(flow.parameters.properties) == {"experiment", "plate"}


def test_a_machine_without_a_dataset_serves_no_loading() -> None:
    def names(dataset: str | None) -> list[str]:
        return [each.name for each in served_deployments(Settings(dataset=dataset))]

    assert names(None) == ["process-plate", "process-plate-background", "process-experiment"]
    assert names("screens") == ["process-plate", "process-plate-background", "process-experiment", "load-warehouse"]


def test_each_publication_starts_a_run(server: str, project: Path) -> None:
    from flows.deploy import deploy

    declared: dict[str, Any] = yaml.safe_load((project / "prefect.yaml").read_text())
    ours = read_deployments()[-1].model_dump()
    declared["deployments"] = [{**ours, "entrypoint": "tests.flows.tiny_flow.tiny"}]
    (project / "prefect.yaml").write_text(yaml.safe_dump(declared))
    deploy(settings=Settings(api_url=server), root=project)
    experiment = uuid.uuid4().hex
    for number in (1, 2):
        emit(server, Published(experiment=experiment, plate="0012", number=number))
    deadline = time.monotonic() + 30
    while len(_runs(server, experiment)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    declared["deployments"][0]["triggers"] = []  # the server is that of all tests
    (project / "prefect.yaml").write_text(yaml.safe_dump(declared))
    deploy(settings=Settings(api_url=server), root=project)
    assert [run["parameters"] for run in _runs(server, experiment)] == [{"experiment": experiment, "plate": "0012"}] * 2


def _runs(server: str, experiment: str) -> list[dict[str, Any]]:
    import httpx

    answer = httpx.post(f"{server}/flow_runs/filter", json={"sort": "ID_DESC"}, trust_env=False).json()
    return [run for run in answer if run["parameters"].get("experiment") == experiment]


def test_a_dataset_needs_a_project(lab: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATESTREAM_GOOGLE_PROJECT")
    with pytest.raises(ConfigurationError, match="set PLATESTREAM_GOOGLE_PROJECT"):
        open_rounds(Settings(), tell)
