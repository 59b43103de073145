from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.declared import ROOT, read_environment
from flows.declared_settings import settings_variables
from flows.deploy import deploy
from flows.settings import Settings
from imaging.errors import ConfigurationError

BLOCK_TYPES = ("block type GCP Credentials", "block type GCS Bucket", "block type BigQuery Warehouse")
CREDENTIALS, BUCKET, WAREHOUSE = BLOCKS = (
    "block gcp-credentials/platestream",
    "block gcs-bucket/platestream",
    "block bigquery-warehouse/platestream",
)


def apply(server: str, project: Path) -> dict[str, str]:
    applied = deploy("gcp", settings=Settings(api_url=server), root=project)
    return {f"{each.kind} {each.name}": each.change for each in applied}


def change(project: Path, edit: Any) -> None:
    path = project / "deployments" / "gcp.yaml"
    declared = yaml.safe_load(path.read_text())
    edit(declared)
    path.write_text(yaml.safe_dump(declared))


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Google's application default credentials of a user who does not exist; made without asking anybody."""
    path = tmp_path / "account.json"
    user = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    path.write_text(json.dumps(user | {"quota_project_id": "example-lab"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return str(path)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any credentials of Google's: whoever deploys needs none."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@pytest.mark.usefixtures("nobody")
def test_blocks_are_registered_once_and_left_alone_afterwards(server: str, project: Path) -> None:
    first = apply(server, project)
    assert set(first) >= {*BLOCK_TYPES, *BLOCKS}
    second = apply(server, project)
    assert set(second) == set(first)
    assert set(second.values()) == {"unchanged"}
    change(project, lambda d: d["google"]["bucket"].update(name="another-bucket"))
    third = {name: done for name, done in apply(server, project).items() if done != "unchanged"}
    assert third == {BUCKET: "updated", "deployment process-plate": "updated"}  # its runs learn the store's address


@pytest.mark.usefixtures("nobody")
def test_all_that_the_repository_declares_is_deployed_once(server: str) -> None:
    from prefect.client.orchestration import get_client

    first, second = apply(server, ROOT), apply(server, ROOT)
    with get_client(sync_client=True) as client:  # other tests count what is on the server
        for automation in client.read_automations():
            client.delete_automation(automation.id)
    assert set(second) == set(first) > {"deployment process-plate", "deployment load-warehouse"}
    assert set(second.values()) == {"unchanged"}


# the block opens a cursor, which would read rows faster with a package that we have no use for
@pytest.mark.filterwarnings("ignore:Cannot create BigQuery Storage client")
def test_blocks_are_those_of_prefect_gcp_and_hold_the_declared_names(server: str, project: Path, account: str) -> None:
    from prefect_gcp import BigQueryWarehouse, GcpCredentials, GcsBucket

    change(project, lambda d: d["google"]["bucket"].update(name="the-bucket", folder="screens"))
    apply(server, project)
    bucket = GcsBucket.load("platestream", _sync=True)
    assert (bucket.bucket, bucket.bucket_folder.strip("/")) == ("the-bucket", "screens")
    assert bucket.gcp_credentials.project == "example-lab"
    assert GcpCredentials.load("platestream", _sync=True).get_cloud_storage_client().project == "example-lab"
    assert BigQueryWarehouse.load("platestream", _sync=True).gcp_credentials.project == "example-lab"


@pytest.mark.usefixtures("nobody")
def test_a_key_that_somebody_put_into_the_block_stays(server: str, project: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import BlockDocumentUpdate

    apply(server, project)
    key = {"type": "service_account", "private_key": "secret"}
    with get_client(sync_client=True) as client:
        found = client.read_block_document_by_name("platestream", "gcp-credentials")
        update = BlockDocumentUpdate(data={"service_account_info": key, "project": "other"}, merge_existing_data=True)
        client.update_block_document(found.id, update)
        assert apply(server, project)[CREDENTIALS] == "updated"
        after = client.read_block_document_by_name("platestream", "gcp-credentials", include_secrets=True)
        assert after.data == {"service_account_info": key, "project": "example-lab"}
        assert apply(server, project)[CREDENTIALS] == "unchanged"
        client.delete_block_document(found.id)
    remade = apply(server, project)
    assert (remade[CREDENTIALS], remade[BUCKET], remade[WAREHOUSE]) == ("created", "updated", "updated")


@pytest.mark.usefixtures("nobody")
def test_runs_get_the_settings_of_the_environment(server: str, project: Path) -> None:
    from prefect.client.orchestration import get_client

    change(project, lambda d: d["job_variables"].update(env={"PLATESTREAM_LINGER_S": "5"}))
    apply(server, project)
    with get_client(sync_client=True) as client:
        said = client.read_deployment_by_name("tiny/process-plate").job_variables
    expected = settings_variables("gcp", read_environment("gcp", project)) | {"PLATESTREAM_LINGER_S": "5"}
    assert said == {"command": "python -m prefect.engine", "env": expected}


def test_the_settings_of_the_environment_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PLATESTREAM_")]:
        monkeypatch.delenv(name)
    for name, value in settings_variables("gcp", read_environment("gcp")).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.store, settings.compute, settings.device) == ("gs://example-lab-plates", "gke", "cuda")
    assert (settings.environment, settings.place) == ("gcp", "europe-west4")
    assert settings.scheduler == "tls://platestream-dask-scheduler.platestream.svc.cluster.local:8786"
    assert (settings.subscription, settings.dataset) == ("platestream-watch", "platestream")
    assert (settings.budget_per_plate, settings.budget_per_day) == (5.0, 1000.0)
    assert settings.google_credentials is None  # the machine's own: the watcher goes on without a Prefect server


def test_the_machines_of_a_lab_have_settings_of_their_own() -> None:
    assert settings_variables("local", read_environment("local")) == {}


def forget(*place: str) -> Any:
    def edit(declared: Any) -> None:
        for step in place[:-1]:
            declared = declared[step]
        del declared[place[-1]]

    return edit


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: d["google"].update(topics="x"), r"google\.topics: Extra inputs"),
        (forget("google", "bucket", "name"), r"google\.bucket\.name: Field required"),
        (forget("kubernetes"), "kubernetes must be there too: google, kubernetes and cluster belong together"),
        (lambda d: d["google"].update(zones=["us-east1-b"]), r"us-east1-b is not in google\.region, europe-west4"),
        (lambda d: d["cluster"].update(image="rocm"), r"google\.artifacts\.images has no 'rocm'"),
        (
            lambda d: d["cluster"]["scheduler"].update(node_pool="big"),
            r"cluster\.scheduler\.node_pool names 'big', and kubernetes\.node_pools has floor, spot, standard",
        ),
        (lambda d: d["cluster"]["scheduler"].update(node_pool="spot"), "must name a pool without spot machines"),
        (lambda d: d["cluster"]["workers"].update(spot_node_pool="floor"), "must name a pool of spot machines"),
        (lambda d: d["cluster"]["workers"].update(floor=2), r"workers\.floor is 2, and floor has room for 1"),
        (lambda d: d["cluster"]["workers"].update(maximum=18), "17 come as spot, and spot has room for 16"),
        (lambda d: d["kubernetes"]["node_pools"]["spot"].pop("gpu"), "spot has room for 0"),
        (forget("cluster", "tls_secret"), r"cluster\.tls_secret is missing"),
        (lambda d: d["cluster"]["workers"].update(maximum=0), r"maximum: Input should be greater"),
        (lambda d: [d.pop(part) for part in ("google", "kubernetes", "cluster")], "budgets belong to google"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_sentence(project: Path, edit: Any, sentence: str) -> None:
    change(project, edit)
    with pytest.raises(ConfigurationError, match=sentence):
        read_environment("gcp", project)
