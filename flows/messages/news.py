"""What is told of plates and experiments: messages made of their records.

A plate is told by the run that publishes it. Where that ended too early, the watcher finds the publication by its mark
and tells it: both make the same message, which is there once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from flows.messages.message import FAILED, FAILURES, NOT_ANALYSED, PUBLISHED, UPDATED, Message, make_message
from flows.messages.outbox import tell
from imaging.columns import read_time
from imaging.live import read_declared
from imaging.names import is_experimental, results_prefix
from imaging.publication_records import read_publications
from imaging.published_marks import list_marks
from imaging.records import publication_key
from imaging.store import Store

MOST_FAILURES = 10
"""Process failures that one message names."""
_OF_PLATE = ("verdict", "reasons", "z_prime", "z_prime_feature", "sites_done", "sites_expected", "images_missing")


def plate_message(store: Store, experiment: str, plate: str, recipe: str, number: int) -> Message:
    """Make the message of a publication: that a plate is published, or that it failed.

    Raises
    ------
    FileNotFoundError
        If the publication or its tables are gone.
    StoredDataError
        If its record is damaged.
    """
    prefix = results_prefix(experiment, plate, recipe)
    [record] = read_publications(store, [publication_key(prefix, number)])
    row: dict[str, Any] = dict.fromkeys(_OF_PLATE)
    if table := record["tables"].get("plates"):
        known = pq.read_table(io.BytesIO(store.read(table))).to_pylist()[0]
        row = {name: known.get(name) for name in _OF_PLATE}
    row |= {"z_feature": row.pop("z_prime_feature"), "images_missing": row["images_missing"] or None}
    facts = {
        "experiment": experiment,
        "plate": plate,
        "recipe": recipe,
        "number": number,
        "status": record["status"].replace("-", " "),
        **row,
        "verdict": row["verdict"] or record["status"],
    }
    published = read_time(record["published_at"])
    return make_message(
        FAILED if row["verdict"] == "fail" else PUBLISHED,
        (experiment, plate, recipe, str(number)),
        published.timestamp() if published else 0.0,
        facts,
        page=f"{prefix}page/index.html",
        tables=record["tables"].get("wells", ""),
    )


def tell_plate(store: Store, experiment: str, plate: str, recipe: str, number: int) -> bool:
    """Tell people of a publication; whether that is new. Errors as `plate_message`."""
    return tell(store, plate_message(store, experiment, plate, recipe, number))


def find_published(store: Store, experiment: str, after: float) -> Iterator[tuple[str, str, int]]:
    """Plates, recipes and numbers of publications after a moment (the store's clock): those that are looked at.

    These are publications under the experiment's own recipe, and of plates that are not published under that one;
    recipes that only came with an upload are left out.
    """
    declared = read_declared(store, experiment)
    ours = declared.recipe_id if declared else ""
    known = {plate for plate, _, _ in list_marks(store, experiment, ours)} if ours else set[str]()
    for recipe in store.list_folders(f"results/{experiment}/_published/"):
        if is_experimental(recipe):
            continue
        for plate, number, at in list_marks(store, experiment, recipe):
            if at > after and (recipe == ours or plate not in known):
                yield plate, recipe, number


def tell_experiment(
    store: Store,
    *,
    experiment: str,
    analysis: str,
    recipe: str,
    at: float,
    facts: dict[str, Any],
    failures: Sequence[str] = (),
    page: str = "",
    is_failed: bool = False,
) -> list[Message]:
    """Tell people that an experiment has a new analysis, and at once what failed in it.

    Parameters
    ----------
    store
        Where the outbox is.
    experiment, analysis, recipe
        The analysis; the same one is told once.
    at
        When it was made, Unix seconds, as its record says it.
    facts
        ``hits``, ``treatments``, ``z_prime``, ``plates``, ``failures`` (numbers), ``verdict``, ``reasons``, ``gained``
        and ``lost`` (texts or lists of them); what is not known is left out.
    failures
        Process failures that no earlier analysis had, one sentence each.
    page
        Key of the experiment's page.
    is_failed
        Whether it gave nothing; ``reasons`` say why.

    Returns
    -------
    The messages that are new.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    about = (experiment, recipe, analysis)
    named = {"experiment": experiment, "recipe": recipe, "analysis": analysis}
    if is_failed:
        said = {name: facts[name] for name in ("plates", "verdict", "reasons") if name in facts}
        messages = [make_message(NOT_ANALYSED, about, at, named | said, page=page)]
    else:
        messages = [make_message(UPDATED, about, at, named | facts, page=page)]
    if failures:
        more = [f"and {len(failures) - MOST_FAILURES} more"] if len(failures) > MOST_FAILURES else []
        said = [*failures[:MOST_FAILURES], *more]
        messages.append(
            make_message(FAILURES, about, at, named | {"count": len(failures), "failures": said}, page=page)
        )
    return [message for message in messages if tell(store, message)]
