"""The one factory of Google Cloud clients: who we are, which project, and where a stand-in takes a service's place.

    storage_client        google.cloud.storage.Client
    bigquery_client       google.cloud.bigquery.Client
    subscriber_client     google.cloud.pubsub_v1.SubscriberClient
    publisher_client      google.cloud.pubsub_v1.PublisherClient
    open_data_store       the store of images and results, whichever it is

Credentials are those of the prefect-gcp block that the settings name, else Google's application default; a service with
a stand-in's address gets none. The clients' own variables (PUBSUB_EMULATOR_HOST ...) reach them through the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.settings import Settings
from imaging.errors import ConfigurationError, MissingPartError
from imaging.google_storage import GoogleAccess, use_google
from imaging.store import Store, open_store

if TYPE_CHECKING:  # each of these libraries takes up to a second to import, and few processes need all
    from google.auth.credentials import Credentials
    from google.cloud import bigquery, storage
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
"""What Google's clients set on their own channels: the service limits messages, not the client."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to Google: credentials, and the project that they belong to, where they tell."""

    credentials: Credentials
    project: str | None


def google_credentials(settings: Settings) -> Credentials:
    """Credentials of the block that the settings name, else Google's application default.

    Raises
    ------
    MissingPartError
        If there is no such block, no Prefect server to ask for it, or no application default.
    ConfigurationError
        If the block is at fault.
    """
    return find_identity(settings).credentials


def find_identity(settings: Settings, emulator: str | None = None) -> Identity:
    """Credentials and project for one service; with a stand-in's address, nobody's.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``.
    """
    if emulator:
        from google.auth.credentials import AnonymousCredentials

        return Identity(AnonymousCredentials(), settings.google_project)
    found = _of_block(settings, settings.google_credentials) if settings.google_credentials else _of_machine()
    return Identity(found.credentials, settings.google_project or found.project)


def storage_client(settings: Settings) -> storage.Client:
    """Open a client of Cloud Storage.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``; also without a project.
    """
    from google.cloud import storage

    return storage.Client(**_rest_arguments(settings, settings.storage_emulator, "Cloud Storage"))


def bigquery_client(settings: Settings) -> bigquery.Client:
    """Open a client of BigQuery whose jobs run where the data set is.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``; also without a project.
    """
    from google.cloud import bigquery

    arguments = _rest_arguments(settings, settings.bigquery_emulator, "BigQuery")
    return bigquery.Client(location=settings.dataset_location or None, **arguments)


def subscriber_client(settings: Settings) -> SubscriberClient:
    """Open a client that pulls messages from Pub/Sub.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``.
    """
    from google.cloud.pubsub_v1 import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    return SubscriberClient(**_grpc_arguments(settings, SubscriberGrpcTransport))


def publisher_client(settings: Settings) -> PublisherClient:
    """Open a client that publishes messages to Pub/Sub.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``.
    """
    from google.cloud.pubsub_v1 import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    return PublisherClient(**_grpc_arguments(settings, PublisherGrpcTransport))


def subscription_path(settings: Settings) -> str:
    """Full name of the subscription: ``projects/lab/subscriptions/new-images``.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``; also without a subscription, or a project for its short name.
    """
    name = settings.subscription
    if not name:
        raise ConfigurationError("no subscription is named; set PLATESTREAM_SUBSCRIPTION to the one of new images")
    if name.startswith("projects/"):
        return name
    project = settings.google_project or find_identity(settings, settings.pubsub_emulator).project
    return f"projects/{_checked_project(project, 'Pub/Sub')}/subscriptions/{name}"


def open_data_store(settings: Settings) -> Store:
    """Open the store that the settings name, and any that this process opens later, as who we are.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``google_credentials``, for a bucket; also if the store's address has another form.
    """
    use_storage(settings)
    return open_store(settings.store)


def use_storage(settings: Settings) -> None:
    """Let this process open buckets as the settings say; a process of Dask's, which opens them later, needs this too.

    Nothing is asked before the first bucket is opened: a machine without Google needs neither credentials nor server.
    """
    endpoint = _http_address(settings.storage_emulator) if settings.storage_emulator else None
    block = settings.google_credentials
    use_google(GoogleAccess(endpoint, (lambda: google_credentials(settings)) if block else None))


def _of_machine() -> Identity:
    """Google's application default: a file that a variable names, gcloud's login, or the machine's service account."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, project = google.auth.default(scopes=SCOPES)
    except DefaultCredentialsError as error:
        raise MissingPartError(
            "this machine has no credentials for Google Cloud; run `gcloud auth application-default login`, give the "
            "machine a service account, or set PLATESTREAM_GOOGLE_CREDENTIALS to the name of a GcpCredentials block"
        ) from error
    return Identity(credentials, project)


def _of_block(settings: Settings, name: str) -> Identity:
    """Who a prefect-gcp block says that we are."""
    import httpx
    from google.auth.exceptions import GoogleAuthError
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
    from prefect_gcp import GcpCredentials

    load: Any = GcpCredentials.load  # takes _sync, which its signature hides: else it would give a coroutine to some
    server: dict[Any, str] = {PREFECT_API_URL: settings.api_url}
    if settings.auth:
        server[PREFECT_API_AUTH_STRING] = settings.auth
    try:
        with temporary_settings(server):
            block = load(name, _sync=True)
        return Identity(block.get_credentials_from_service_account(), block.project)
    except (RuntimeError, GoogleAuthError) as error:  # Prefect's word for a block that its own checks refuse
        raise ConfigurationError(
            f"the GcpCredentials block {name!r} holds no credentials that can be used here: its key is damaged, or its "
            "key file is not on this machine; register it anew"
        ) from error
    except ValueError as error:
        raise MissingPartError(
            f"the Prefect server at {settings.api_url} has no GcpCredentials block {name!r}; register it "
            "(`platestream deploy` does), or unset PLATESTREAM_GOOGLE_CREDENTIALS"
        ) from error
    except httpx.HTTPError as error:
        raise MissingPartError(
            f"the Prefect server at {settings.api_url} does not answer as it should "
            f"({str(error).splitlines()[0]}), so the GcpCredentials block {name!r} cannot be read; start the server, "
            "or unset PLATESTREAM_GOOGLE_CREDENTIALS"
        ) from error


def _rest_arguments(settings: Settings, emulator: str | None, service: str) -> dict[str, Any]:
    """What clients that speak HTTP are made with."""
    identity = find_identity(settings, emulator)
    options = {"client_options": {"api_endpoint": _http_address(emulator)}} if emulator else {}
    return {"project": _checked_project(identity.project, service), "credentials": identity.credentials} | options


def _grpc_arguments(settings: Settings, transport: Any) -> dict[str, Any]:
    """What clients that speak gRPC are made with; a stand-in is spoken to in clear, at the settings' address."""
    if not settings.pubsub_emulator:
        return {"credentials": find_identity(settings).credentials}
    import grpc

    address = _http_address(settings.pubsub_emulator).split("://")[1]
    return {"transport": transport(channel=grpc.insecure_channel(address, options=_UNLIMITED))}


def _checked_project(project: str | None, service: str) -> str:
    if project:
        return project
    raise ConfigurationError(
        f"{service} needs a Google Cloud project, and neither the settings nor the credentials name one; set "
        "PLATESTREAM_GOOGLE_PROJECT"
    )


def _http_address(address: str) -> str:
    """Address of a stand-in with its scheme: Google's variables have one for storage, and none for Pub/Sub."""
    return (address if "://" in address else f"http://{address}").rstrip("/")
