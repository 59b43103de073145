"""Blocks on a Prefect server, types and documents, again and again the same: prefect-gcp's, and those of alerts.

Of Google's no secret is written. A credentials block without a key file means Google's application default
credentials: on Kubernetes the pod's service account (Workload Identity), on a desk ``gcloud auth application-default
login``. Whoever must use a key puts it into the block by hand; it stays there when this runs again.
"""

from __future__ import annotations

from typing import Any

from flows.applied import Applied, Change
from flows.declared_google import Google


def apply_blocks(client: Any, google: Google) -> list[Applied]:
    """Register types and documents of GcpCredentials, GcsBucket and BigQueryWarehouse; return what was done.

    The documents are written as the server keeps them: a GcpCredentials object cannot even be made where there are no
    credentials, and whoever deploys need not have any.

    Parameters
    ----------
    client
        A synchronous client of Prefect's, inside its settings.
    google
        What the environment says of Google Cloud.
    """
    from prefect_gcp import BigQueryWarehouse, GcpCredentials, GcsBucket

    names, bucket = google.blocks, google.bucket
    applied = [_apply_type(client, each) for each in (GcpCredentials, GcsBucket, BigQueryWarehouse)]
    done, credentials = _apply_document(client, GcpCredentials, names.credentials, {"project": google.project})
    applied.append(done)
    reference = {"gcp_credentials": {"$ref": {"block_document_id": str(credentials)}}}
    contents = {"bucket": bucket.name, "bucket_folder": bucket.folder, **reference}
    applied.append(_apply_document(client, GcsBucket, names.bucket, contents)[0])
    applied.append(_apply_document(client, BigQueryWarehouse, names.warehouse, reference)[0])
    return applied


def apply_block(client: Any, kind: Any, name: str, wanted: dict[str, Any], *, first: dict[str, Any]) -> list[Applied]:
    """Register a type of blocks and one document of it; return what was done.

    Parameters
    ----------
    client
        A synchronous client of Prefect's, inside its settings.
    kind
        The block's class.
    name
        The document's name.
    wanted
        What it must say; what else it says is left alone.
    first
        What it says besides when it is made.
    """
    applied = _apply_type(client, kind)
    new = {} if find_block(client, kind.get_block_type_slug(), name) else first
    return [applied, _apply_document(client, kind, name, new | wanted)[0]]


def find_block(client: Any, slug: str, name: str) -> Any:
    """A block document of the server, with its secrets; ``None`` where it has no such one."""
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_block_document_by_name(name, slug)
    except ObjectNotFound:
        return None


def _apply_type(client: Any, kind: Any) -> Applied:
    from prefect.exceptions import ObjectNotFound

    change: Change = "unchanged"
    try:
        client.read_block_type_by_slug(kind.get_block_type_slug())
    except ObjectNotFound:
        change = "created"
    else:
        try:
            client.read_block_schema_by_checksum(kind._calculate_schema_checksum(), kind.get_block_schema_version())
        except ObjectNotFound:
            change = "updated"
    if change != "unchanged":
        kind.register_type_and_schema(_sync=True)
    return Applied("block type", kind.get_block_type_name(), change)


def _apply_document(client: Any, kind: Any, name: str, wanted: dict[str, Any]) -> tuple[Applied, Any]:
    """Make a document say what is wanted; return what was done, and its id. What else it says is left alone."""
    from prefect.client.schemas.actions import BlockDocumentCreate, BlockDocumentUpdate

    slug = kind.get_block_type_slug()
    title = f"{slug}/{name}"
    block_type = client.read_block_type_by_slug(slug)
    schema = client.read_block_schema_by_checksum(kind._calculate_schema_checksum(), kind.get_block_schema_version())
    if (found := find_block(client, slug, name)) is None:
        document = BlockDocumentCreate(
            name=name, data=wanted, block_type_id=block_type.id, block_schema_id=schema.id, is_anonymous=False
        )
        return Applied("block", title, "created"), client.create_block_document(document).id
    said = found.data | {
        field: {"$ref": {"block_document_id": str(each["block_document"]["id"])}}
        for field, each in found.block_document_references.items()
    }
    if found.block_schema_id == schema.id and all(said.get(field) == value for field, value in wanted.items()):
        return Applied("block", title, "unchanged"), found.id
    update = BlockDocumentUpdate(block_schema_id=schema.id, data=wanted, merge_existing_data=True)
    client.update_block_document(found.id, update)
    return Applied("block", title, "updated"), found.id
