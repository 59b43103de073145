"""A real watch and its watchdogs, whose clocks the test moves."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from flows.needs import find_need
from flows.settings import Settings
from flows.watch import Watch
from flows.watchdogs.alerts import find_alerts
from flows.watchdogs.facts import Facts, PlateFacts
from flows.watchdogs.gather import Gatherer
from flows.watchdogs.memory import Memory
from flows.watchdogs.rounds import Watchdogs
from imaging.errors import PlateError
from imaging.store import FolderStore
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate

NOWHERE = "http://127.0.0.1:9/api"
UNASKED = "tls://127.0.0.1:9"
"""A scheduler that nobody can ask without a certificate."""


def declare(folder: Path) -> FolderStore:
    """A store with an experiment that waits long for its images."""
    store = FolderStore(folder)
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.replace("patience: 60", "patience: 36000").encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    return store


def upload(store: FolderStore, plate: str = "P1", *, first: int = 0, count: int = 8) -> None:
    """Put images of a plate into the store."""
    for name, data in list(draw_plate().items())[first:count]:
        store.write(f"raw/screen/{plate}/{name}", data)


class Dogs:
    """A watch of a store, and what its watchdogs see and tell."""

    def __init__(self, store: FolderStore, tmp_path: Path, **said: Any) -> None:
        settings = {"api_url": NOWHERE, "scheduler": UNASKED, "store": str(store.root), "settle_s": 0}
        self.settings = Settings(**settings | {"state_folder": tmp_path, "cache_folder": tmp_path} | said)
        self.store = store
        self.began = time.time()
        self.start(Memory())

    def start(self, memory: Memory) -> None:
        """Begin as a watcher of a new process does, with what the last one remembered."""
        self.watch = Watch(self.store, lambda need: None, rescan_s=0.5, settle_s=0.0)
        self.gatherer = Gatherer(self.store, self.settings, self.watch.plates, memory, find_need)
        self.watchdogs = Watchdogs(self.gatherer, self.store, lambda event: None)

    def look(self, after_s: float) -> Facts:
        """Let the watch go round and the gatherer look, so many seconds after the first time."""
        now = self.began + after_s
        self.watch.round(now)
        self.gatherer.memory.begin(now, every_s=60, tick=after_s)
        facts = self.gatherer.gather(now)
        self.gatherer.memory.end(find_alerts(facts), is_whole=facts.is_whole)
        return facts

    def plate(self, after_s: float) -> PlateFacts:
        """The same for the only plate that is open."""
        (plate,) = self.look(after_s).plates
        return plate

    def tell(self, after_s: float) -> list[tuple[str, str]]:
        """Let both look, and return the news and kind of each message that people get."""
        with contextlib.suppress(PlateError):  # the watcher logs it and goes on
            self.watch.round(self.began + after_s)
        told = self.watchdogs.look(self.began + after_s, after_s)
        return [(message.news, message.alert.kind) for message in told]
