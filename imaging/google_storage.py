"""Where Google Cloud Storage is and who we are to it: said once per process, for every bucket that is opened later.

A store is opened by its address alone, on a Dask worker as well, and an address holds no secret. So whoever starts a
process says here what the address leaves out; the settings know it, and ``flows.google`` says it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obstore.store import GCSStore

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


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


def open_bucket(bucket: str, prefix: str, endpoint: str | None = None) -> GCSStore:
    """Open a folder of a bucket; an endpoint of its own goes before the one that was said."""
    folder, endpoint = prefix or None, endpoint or _access.endpoint
    if endpoint:
        key = {"gcs_base_url": endpoint, "disable_oauth": True} | dict.fromkeys(
            ("client_email", "private_key", "private_key_id"), ""
        )
        return GCSStore(bucket, prefix=folder, service_account_key=json.dumps(key), client_options={"allow_http": True})
    if _access.credentials is None:
        return GCSStore(bucket, prefix=folder)
    from obstore.auth.google import GoogleCredentialProvider  # its imports take a moment that few processes need

    return GCSStore(bucket, prefix=folder, credential_provider=GoogleCredentialProvider(_access.credentials()))
