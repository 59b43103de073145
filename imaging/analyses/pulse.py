"""Who analyses an experiment says so, so that others need not: a hint, the records decide."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from imaging.analyses.analysis_records import heartbeat_key
from imaging.errors import PlateError
from imaging.names import to_json
from imaging.store import Store

BEAT_S = 30.0


def is_analysed(store: Store, experiment: str, *, stale_s: float, now: float | None = None) -> bool:
    """Whether somebody analyses the experiment: the heartbeat is younger than ``stale_s`` seconds."""
    beaten_at = store.modified(heartbeat_key(experiment))
    return beaten_at is not None and abs((time.time() if now is None else now) - beaten_at) < stale_s


@contextlib.contextmanager
def beating(store: Store, experiment: str, who: str = "", *, every_s: float = BEAT_S) -> Iterator[None]:
    """Keep the heartbeat young in the block; afterwards it is gone."""
    over = threading.Event()

    def beat() -> None:
        while not over.is_set():
            with contextlib.suppress(PlateError):  # the store is out of order: the work itself will say so
                store.write(heartbeat_key(experiment), to_json({"experiment": experiment, "by": who}))
            over.wait(every_s)

    heart = threading.Thread(target=beat, name="analysis-heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
        with contextlib.suppress(PlateError):
            store.delete(heartbeat_key(experiment))
