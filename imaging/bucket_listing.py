"""Folders of a bucket in which a name could be no file's: they are listed by the service's other API.

The client that reads and writes objects gives up a whole listing at ``a//b.tif``, ``..`` or a control character, and
shows ``a/``, with which other programs mark a folder, as an object ``a`` that nobody can read.
"""

from __future__ import annotations

import base64
import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import obstore
from obstore.store import GCSStore

from imaging.google_storage import list_names
from imaging.listing import StoredObject, find_key_refusal

_READERS, _REMEMBERED = 16, 100_000


class BucketFolder:
    """A folder of a bucket, the root of a store.

    Parameters
    ----------
    bucket, prefix, endpoint
        The bucket, the folder in it (empty: all of it), and the address of a stand-in.
    client
        What objects are read with, as ``open_bucket`` gives it for the same folder.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, client: GCSStore) -> None:
        self.bucket, self.endpoint = bucket, endpoint
        self.root = f"{prefix}/" if prefix else ""
        self._client = client
        self._looked_up: dict[tuple[str, str], StoredObject] = {}

    def list_objects(self, folder: str) -> list[StoredObject]:
        """All objects under a folder with the names that they have, and the tokens that the client reads them with.

        Raises
        ------
        StoreUnavailableError
            If the service does not answer.
        """
        start = f"{self.root}{folder}/" if folder else self.root
        pages = list_names(self.bucket, start, self.endpoint)
        items = [item for page in pages for item in page.get("items", ()) if not _is_folder_mark(item)]
        with ThreadPoolExecutor(_READERS) as readers:
            return [found for found in readers.map(self._describe, items) if found is not None]

    def list_folders(self, folder: str) -> list[str]:
        """Names of the folders directly under a folder.

        Raises
        ------
        StoreUnavailableError
            If the service does not answer.
        """
        start = f"{self.root}{folder}/" if folder else self.root
        pages = list_names(self.bucket, start, self.endpoint, delimiter="/")
        return [path[len(start) : -1] for page in pages for path in page.get("prefixes", ())]

    def _describe(self, item: dict[str, Any]) -> StoredObject | None:
        """An object of a listing; ``None`` if it is gone by now."""
        key = item["name"].removeprefix(self.root)
        modified = datetime.fromisoformat(item["updated"]).timestamp()
        if _is_named_by_its_sum(item) or find_key_refusal(key):
            token = f'"{base64.b64decode(item.get("md5Hash", "")).hex()}"'
            return StoredObject(key, int(item["size"]), token, modified)
        return self._look_up(key, item["generation"], modified)

    def _look_up(self, key: str, generation: str, modified: float) -> StoredObject | None:
        """An object as the client sees it, asked for once."""
        if found := self._looked_up.get((key, generation)):
            return found
        with contextlib.suppress(FileNotFoundError):
            meta = obstore.head(self._client, key)
            if len(self._looked_up) >= _REMEMBERED:
                self._looked_up.clear()
            found = StoredObject(key, meta["size"], str(meta["e_tag"]), modified)
            self._looked_up[key, generation] = found
        return found


def _is_folder_mark(item: dict[str, Any]) -> bool:
    return item["name"].endswith("/") and item["size"] == "0"


def _is_named_by_its_sum(item: dict[str, Any]) -> bool:
    """Whether the ETag is the MD5, which it is not of parts put together, nor where the lab holds the key."""
    return "md5Hash" in item and "kmsKeyName" not in item and "customerEncryption" not in item
