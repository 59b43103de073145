"""Where Google Cloud Storage is and who we are to it: said once per process, for every bucket that is opened later.

A store is opened by its address alone, on a Dask worker as well, and an address holds no secret. So whoever starts a
process says here what the address leaves out; the settings know it, and ``flows.google`` says it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from obstore.store import GCSStore

from imaging.errors import StoreUnavailableError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from obstore.store import ClientConfig, RetryConfig

GOOGLE = "https://storage.googleapis.com"
NOT_FOUND, BUSY = 404, (408, 429, 500, 502, 503, 504)
SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)


@dataclass(frozen=True, slots=True)
class GoogleAccess:
    """What the addresses of buckets leave out.

    Parameters
    ----------
    endpoint
        Address of a stand-in, such as ``http://127.0.0.1:4443``, asked without credentials; ``None`` is Google.
    credentials
        Gives the credentials; called when the first bucket is opened. ``None``: those that the machine has.
    """

    endpoint: str | None = None
    credentials: Callable[[], Credentials] | None = None


_access = GoogleAccess()


def use_google(access: GoogleAccess) -> None:
    """Open buckets like this from now on; those that are open stay as they are."""
    global _access
    _access = access


def open_bucket(
    bucket: str,
    prefix: str,
    endpoint: str | None = None,
    *,
    client: ClientConfig | None = None,
    retry: RetryConfig | None = None,
) -> GCSStore:
    """Open a folder of a bucket; an endpoint of its own goes before the one that was said.

    Parameters
    ----------
    bucket, prefix, endpoint
        The bucket, the folder in it (empty: all of it), and the address of a stand-in.
    client, retry
        What obstore is told of timeouts and of trying again, where its own choice does not do.
    """
    folder, endpoint = prefix or None, endpoint or _access.endpoint
    options: dict[str, Any] = {"prefix": folder, "client_options": client, "retry_config": retry}
    if endpoint:
        key = {"gcs_base_url": endpoint, "disable_oauth": True} | dict.fromkeys(
            ("client_email", "private_key", "private_key_id"), ""
        )
        options["client_options"] = {**(client or {}), "allow_http": True}
        return GCSStore(bucket, service_account_key=json.dumps(key), **options)
    if _access.credentials is None:
        return GCSStore(bucket, **options)
    from obstore.auth.google import GoogleCredentialProvider  # its imports take a moment that few processes need

    return GCSStore(bucket, credential_provider=GoogleCredentialProvider(_access.credentials()), **options)


def read_crc32c(bucket: str, name: str, endpoint: str | None = None, *, timeout_s: float = 30.0) -> tuple[int, str]:
    """Ask the service for an object's size in bytes and its CRC32C in base64, which it knows of every object.

    The client that reads and writes objects tells no more than their ETag, which is a sum of some of them only.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    StoreUnavailableError
        If the service does not answer.
    """
    address = f"{endpoint or _access.endpoint or GOOGLE}/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
    with _session(endpoint, name) as session:
        answer = session.get(address, params={"fields": "size,crc32c"}, timeout=timeout_s)
        if answer.status_code == NOT_FOUND:
            raise FileNotFoundError(name)
        answer.raise_for_status()
        told = answer.json()
    return int(told["size"]), told["crc32c"]


def list_names(
    bucket: str, prefix: str, endpoint: str | None = None, *, delimiter: str = "", timeout_s: float = 30.0
) -> Iterator[dict[str, Any]]:
    """List a bucket by the JSON API, which tells every name as it is: the pages of its answer.

    Parameters
    ----------
    bucket, prefix, endpoint
        The bucket, what its objects' names begin with, and the address of a stand-in.
    delimiter
        Where names end that are only counted as folders, as ``prefixes`` of a page.

    Raises
    ------
    StoreUnavailableError
        If the service does not answer.
    """
    address = f"{endpoint or _access.endpoint or GOOGLE}/storage/v1/b/{bucket}/o"
    fields = "nextPageToken,prefixes,items(name,size,generation,md5Hash,updated,kmsKeyName,customerEncryption)"
    asked = {"prefix": prefix, "delimiter": delimiter, "fields": fields, "maxResults": "1000"}
    with _session(endpoint, prefix) as session:
        while True:
            answer = session.get(address, params=asked, timeout=timeout_s)
            answer.raise_for_status()
            page = answer.json()
            yield page
            if "nextPageToken" not in page:
                return
            asked["pageToken"] = page["nextPageToken"]


@contextlib.contextmanager
def _session(endpoint: str | None, name: str) -> Iterator[Any]:
    """Open a session that asks a busy service again, and whose faults have our names."""
    import requests  # takes a moment; few processes ask in this way
    from google.auth.exceptions import GoogleAuthError
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    again = Retry(5, backoff_factor=0.2, status_forcelist=BUSY, raise_on_status=False)
    try:
        with requests.Session() if endpoint or _access.endpoint else _authorized_session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=again))
            yield session
    except (requests.RequestException, GoogleAuthError) as error:
        raise StoreUnavailableError(f"the storage failed: {error}; try again", key=name) from error


def _authorized_session() -> Any:
    """An HTTP session that signs in as whoever opens the buckets."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    return AuthorizedSession(_access.credentials() if _access.credentials else google.auth.default(scopes=SCOPES)[0])
