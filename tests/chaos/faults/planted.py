"""Bugs that are planted into real processes from outside, to see whether a suite catches them.

    record-before-data   a site's manifest is created before its data are written, a moment later
    no-relisting         a follower lists once and no more, and the watcher wakes each plate once
    lost-race            whoever is told that an object exists does not look whether it is his own

Each changes one module as soon as a process imports it; nothing else is imported before that.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imaging.store import Store

ROOT = Path(__file__).resolve().parents[3]
GAP_S = 0.3
"""Seconds between a record and its data: long enough for a kill to hit."""


@dataclass
class LateData:
    """A store that writes data of a site only after the record that names them."""

    inner: Store
    gap_s: float = GAP_S
    held: list[tuple[str, bytes]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, key: str, data: bytes) -> None:
        """Hold data back."""
        self.held.append((key, data))

    def create(self, key: str, data: bytes) -> bool:
        """Create the record, then write what it names."""
        is_new = self.inner.create(key, data)
        if is_new and "/sites/" in key:
            time.sleep(self.gap_s)
            for item in self.held:
                self.inner.write(*item)
        return is_new


def _record_before_data(site: ModuleType) -> None:
    process, opened = site.process_site, site.opened

    def process_site(task: Any, *arguments: Any, store: Any = None, **named: Any) -> Any:
        return process(task, *arguments, store=LateData(store or opened(task.store_url)), **named)

    site.process_site = process_site


def _list_once(follow: ModuleType) -> None:
    plan_work = follow.plan_work
    plans: dict[int, Any] = {}

    def plan_once(job: Any, now: float | None = None) -> Any:
        if id(job) not in plans:
            plans[id(job)] = plan_work(job, now)
        return plans[id(job)]

    follow.plan_work = plan_once


def _wake_once(watch: ModuleType) -> None:
    wake, woken = watch.Watch._wake, set()

    def wake_once(self: Any, need: Any, tick: float) -> None:
        if (key := (need.experiment, need.plate, need.recipe)) not in woken:
            wake(self, need, tick)
            woken.add(key)

    watch.Watch._wake = wake_once


def _lost_race(store: ModuleType) -> None:
    def create(self: Any, key: str, data: bytes) -> bool:
        with store.translated(key):
            try:
                store.obstore.put(self._inner, key, data, mode="create", use_multipart=False)
            except store.AlreadyExistsError:
                return False
        return True

    def create_file(self: Any, key: str, data: bytes) -> bool:
        try:
            self._place(key, data, os.link)
        except FileExistsError:
            return False
        return True

    store.Store.create = create
    store.FolderStore.create = create_file


Plant = Callable[[ModuleType], None]
PLANTS: dict[str, dict[str, Plant]] = {
    "record-before-data": {"imaging.site": _record_before_data},
    "no-relisting": {"flows.follow": _list_once, "flows.watch": _wake_once},
    "lost-race": {"imaging.store": _lost_race},
}


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the other finders find a module, and changes it once it is executed."""

    def __init__(self, plants: dict[str, Plant]) -> None:
        self.plants = plants

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        plant = self.plants.pop(fullname, None)  # taken out, so that the search below does not come here again
        spec = importlib.util.find_spec(fullname) if plant else None
        if plant is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_plant(module: ModuleType) -> None:
            execute(module)
            plant(module)

        spec.loader.exec_module = execute_and_plant  # pyright: ignore[reportAttributeAccessIssue]
        return spec


def install(names: Iterable[str]) -> None:
    """Plant bugs into the modules of this process that are not imported yet."""
    plants = {module: plant for name in names for module, plant in PLANTS[name].items()}
    sys.meta_path.insert(0, _Finder(plants))


def environment(names: Iterable[str]) -> dict[str, str]:
    """Variables for processes that are to have these bugs, and for all that they start.

    Raises
    ------
    KeyError
        If there is no such bug.
    """
    chosen = [name for name in names if PLANTS[name]]
    path = [str(Path(__file__).with_name("planted_site")), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {"FAULTS_PLANTED": ",".join(chosen), "PYTHONPATH": os.pathsep.join(filter(None, path))} if chosen else {}
