"""The factory of Google clients: each real client reaches its stand-in, and what is missing is said in a sentence."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from flows.google import (
    bigquery_client,
    google_credentials,
    open_data_store,
    publisher_client,
    storage_client,
    subscriber_client,
    subscription_path,
    use_storage,
)
from flows.settings import Settings, child_environment
from imaging.errors import ConfigurationError, MissingPartError, PlateError
from imaging.google_storage import GoogleAccess, open_bucket, use_google
from imaging.store import open_store
from tests.parts import ROOT
from tests.standins.gcs import GcsStandIn
from tests.standins.pubsub import PubSubStandIn


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine that has no credentials, and that is not asked for them over the network."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    yield
    use_google(GoogleAccess())


@pytest.fixture(scope="module")
def token_address() -> Iterator[str]:
    """Address of a service that gives a token for any signed request, as Google's does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            assert asked["assertion"]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"access_token": "a-token", "expires_in": 3600}).encode())

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as service:
        threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{service.server_port}/token"
        service.shutdown()


@pytest.fixture(scope="module")
def key(token_address: str) -> dict[str, str]:
    """The key file of a service account."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "of-the-key",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "platestream@of-the-key.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_address,
    }


@pytest.fixture(scope="module")
def block(server: str, key: dict[str, str]) -> str:
    from prefect_gcp import GcpCredentials

    GcpCredentials(service_account_info=key).save("lab-google", overwrite=True)
    return "lab-google"


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_the_storage_client_reaches_its_stand_in(gcs: GcsStandIn, scheme: str) -> None:
    address = scheme + gcs.url.removeprefix("http://")
    client = storage_client(Settings(storage_emulator=address, google_project="lab"))
    client.bucket("lab").blob("a").upload_from_string(b"1")
    assert client.project == "lab"
    assert open_store(gcs.address("lab")).read("a") == b"1"
    client.close()


def test_a_store_without_an_endpoint_goes_to_the_stand_in_of_the_settings(gcs: GcsStandIn) -> None:
    store = open_data_store(Settings(store="gs://lab/screens", storage_emulator=gcs.url))
    store.write("a", b"1")
    assert open_store(gcs.address("lab/screens")).read("a") == b"1"
    assert open_store("gs://lab/screens").read("a") == b"1"  # as a worker of Dask's opens it, by its address alone


def test_a_worker_opens_the_store_of_a_site_as_its_settings_say(gcs: GcsStandIn) -> None:
    code = """if True:
        from flows.worker import dask_setup
        from imaging.site import opened
        dask_setup(None)
        opened("gs://lab/screens").write("a", b"1")
    """
    environment = child_environment({"PLATESTREAM_STORAGE_EMULATOR": gcs.url})
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert open_store(gcs.address("lab/screens")).exists("a")


def test_an_endpoint_in_an_address_goes_before_the_settings(gcs: GcsStandIn) -> None:
    use_google(GoogleAccess(endpoint="http://127.0.0.1:1"))
    store = open_store(gcs.address("lab/screens"))
    store.write("a", b"1")
    assert store.exists("a")


def test_a_store_without_google_asks_for_no_credentials(tmp_path: Path) -> None:
    store = open_data_store(
        Settings(store=str(tmp_path), google_credentials="absent", api_url="http://127.0.0.1:9/api")
    )
    assert store.list_folders("raw") == []


def test_pubsub_clients_speak_to_the_address_of_the_settings_whatever_the_environment_says(
    pubsub: PubSubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(pubsub_emulator=f"http://{pubsub.address}", google_project="test", subscription="watch")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    publisher, subscriber = publisher_client(settings), subscriber_client(settings)
    assert isinstance(publisher, PublisherClient)
    assert isinstance(subscriber, SubscriberClient)
    topic = pubsub.create_topic("images")
    pubsub.create_subscription("watch", "images")
    publisher.publish(topic, b"one").result(timeout=30)
    [got] = subscriber.pull(subscription=subscription_path(settings), max_messages=1).received_messages
    assert got.message.data == b"one"
    publisher.stop()
    publisher.transport.close()
    subscriber.close()


def test_the_bigquery_client_goes_to_the_stand_in_and_works_where_the_dataset_is() -> None:
    settings = Settings(bigquery_emulator="127.0.0.1:9050", google_project="lab", dataset_location="EU")
    client = bigquery_client(settings)
    assert (client.project, client.location) == ("lab", "EU")
    assert client._connection.API_BASE_URL == "http://127.0.0.1:9050"
    client.close()


def test_a_block_gives_credentials_and_project_to_each_client(server: str, block: str) -> None:
    settings = Settings(google_credentials=block, api_url=server)
    assert google_credentials(settings).service_account_email.startswith("platestream@")
    for client in (storage_client(settings), bigquery_client(settings)):
        assert client.project == "of-the-key"
        assert client._credentials.service_account_email.startswith("platestream@")
        client.close()
    assert (
        bigquery_client(Settings(google_credentials=block, api_url=server, google_project="other")).project == "other"
    )
    named = Settings(google_credentials=block, api_url=server, subscription="watch")
    assert subscription_path(named) == "projects/of-the-key/subscriptions/watch"


def test_the_credentials_of_a_block_reach_the_store(server: str, block: str) -> None:
    use_storage(Settings(google_credentials=block, api_url=server))
    provider: Any = open_bucket("lab", "screens").credential_provider
    assert provider()["token"] == "a-token"


def test_without_a_block_the_machines_own_key_is_used(
    key: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    client = storage_client(Settings())
    assert client.project == "of-the-key"
    client.close()
    with subscriber_client(Settings()) as subscriber:
        assert subscriber.transport._host == "pubsub.googleapis.com:443"
    assert open_bucket("lab", "").credential_provider is None  # obstore finds it by itself


def fault_of(settings: Settings, kind: type[PlateError]) -> str:
    with pytest.raises(kind) as caught:
        bigquery_client(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_said_in_one_sentence(server: str, block: str) -> None:
    assert "has no credentials for Google Cloud; run `gcloud" in fault_of(Settings(), MissingPartError)
    absent = Settings(google_credentials="absent", api_url=server)
    assert f"at {server} has no GcpCredentials block 'absent'" in fault_of(absent, MissingPartError)
    assert "BigQuery needs a Google Cloud project" in fault_of(Settings(bigquery_emulator="a:1"), ConfigurationError)


def test_a_server_that_does_not_answer_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        sentence = fault_of(Settings(google_credentials="lab", api_url="http://127.0.0.1:9/api"), MissingPartError)
    assert "the Prefect server at http://127.0.0.1:9/api does not answer" in sentence


def test_a_block_without_usable_credentials_is_said_in_one_sentence(server: str, key: dict[str, str]) -> None:
    from prefect_gcp import GcpCredentials

    GcpCredentials(service_account_info=key).save("broken", overwrite=True)
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("broken", "gcp-credentials")
        spoiled = {**document.data, "service_account_info": {**key, "private_key": "none"}}
        from prefect.client.schemas.actions import BlockDocumentUpdate

        client.update_block_document(document.id, BlockDocumentUpdate(data=spoiled, merge_existing_data=False))
    sentence = fault_of(Settings(google_credentials="broken", api_url=server), ConfigurationError)
    assert "the GcpCredentials block 'broken' holds no credentials that can be used here" in sentence


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"subscription": "projects/p/subscriptions/s"}, "projects/p/subscriptions/s"),
        ({"subscription": "s", "google_project": "lab"}, "projects/lab/subscriptions/s"),
    ],
)
def test_a_subscription_is_named_short_or_in_full(given: dict[str, str], path: str) -> None:
    assert subscription_path(Settings(**given)) == path


def test_a_subscription_without_a_name_or_project_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no subscription is named"):
        subscription_path(Settings())
    with pytest.raises(ConfigurationError, match="Pub/Sub needs a Google Cloud project"):
        subscription_path(Settings(subscription="s", pubsub_emulator="127.0.0.1:1"))
