"""`platestream warehouse`: keeps BigQuery up to the store, publications and plates in progress alike.

It is a projection that runs beside the pipeline: nobody waits for it, and what it missed while BigQuery was away it
finds in the store afterwards.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from flows.google import bigquery_client, open_data_store
from flows.placement import refuse_dataset
from flows.settings import Settings
from imaging.errors import ConfigurationError, PlateError
from imaging.job import open_experiment
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import Rounds

LONGEST_PAUSE_S = 600.0
"""Seconds between two rounds at most, while BigQuery does not answer."""

log = logging.getLogger(__name__)


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the dataset of the settings.

    Raises
    ------
    ConfigurationError
        If they name none.
    """
    if not settings.dataset:
        raise ConfigurationError("there is no warehouse: set PLATESTREAM_DATASET to the name of a BigQuery dataset")
    return Warehouse(bigquery_client(settings), settings.dataset, settings.dataset_location)


def open_loader(settings: Settings, said: Callable[[Loaded | Refused], None], *, compares_all: bool = False) -> Loader:
    """What loads publications of the settings' store into their dataset, and tells of each; see ``Loader``."""
    warehouse, store = open_warehouse(settings), open_data_store(settings)

    def admit(experiment: str) -> None:
        really = settings.model_copy(update={"dataset_location": warehouse.place})
        refuse_dataset(open_experiment(store, experiment), really)

    return Loader(warehouse, store, said, admit, compares_all)


def open_rounds(settings: Settings, said: Callable[[Loaded | Refused], None], *, compares_all: bool = False) -> Rounds:
    """Rounds over all plates of the settings' store; where all is compared, the first rebuilds the warehouse."""
    loader = open_loader(settings, said, compares_all=compares_all)
    return Rounds(loader, LiveLoader(loader.warehouse, loader.store))


def keep(rounds: Rounds, *, interval_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Go round for ever; while something is wrong ever more seldom, and say so once.

    Parameters
    ----------
    rounds
        What to do.
    interval_s
        Seconds between two rounds.
    sleep
        Waits so many seconds.
    """
    pause_s, said = interval_s, ""
    while True:
        try:
            sent = rounds.round()
        except PlateError as error:
            pause_s = min(2 * pause_s, max(LONGEST_PAUSE_S, interval_s))
            if said != error.message:
                log.warning("%s", error)
            said = error.message
        else:
            if said:
                log.info("the warehouse takes rows again")
            pause_s, said = interval_s, ""
            if sent:
                log.info("of plates in progress: %s", ", ".join(f"{n} rows into {table}" for table, n in sent.items()))
        sleep(pause_s)


def tell(outcome: Loaded | Refused) -> None:
    """Log what was loaded or refused."""
    if isinstance(outcome, Refused):
        log.warning("%s was not loaded: %s", outcome.place, outcome.reason)
    else:
        rows = sum(outcome.rows.values())
        log.info("%s: %d rows by %d jobs in %.1f s", outcome.place, rows, outcome.jobs, outcome.seconds)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for library in ("httpx", "google"):
        logging.getLogger(library).setLevel(logging.WARNING)
    own = Settings()
    keep(open_rounds(own, tell), interval_s=own.warehouse_interval_s)
