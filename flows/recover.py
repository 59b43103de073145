"""Verifying and mending a store: sites that are damaged are measured again on a cluster of this run's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.cluster import open_for_run
from flows.compute import Compute, connect
from flows.follow import OVER, TICK_S, explain_failure
from flows.placement import refuse_run
from flows.process_folder import folder_job
from flows.settings import Settings
from flows.sites import measure_site
from imaging.analyses.analysis_damage import mend_analyses, verify_analyses
from imaging.damage import Damage, Verification
from imaging.errors import ConfigurationError, PlateError, StoreUnavailableError
from imaging.job import PlateJob, open_job
from imaging.live import PlateFolder
from imaging.names import check_name
from imaging.repair import Mended, Repair
from imaging.site import SiteTask
from imaging.store import Store
from imaging.verify import find_folders, verify_experiment, verify_plate


def verify_store(
    store: Store,
    experiment: str = "",
    plate: str = "",
    *,
    is_quick: bool = False,
    said: Callable[[PlateFolder, Verification], None] = lambda folder, found: None,
) -> Verification:
    """Verify a store, one experiment or one plate.

    Parameters
    ----------
    store
        The store.
    experiment, plate
        Of which only; left out, of all.
    is_quick
        Compare presence and sizes alone.
    said
        Called with what was found of each plate.

    Raises
    ------
    ConfigurationError
        If there is no such plate.
    """
    if experiment:
        check_name("experiment", experiment)
    if plate:
        check_name("plate", plate)
    folders = find_folders(store, experiment, plate)
    if not folders:
        where = "/".join(filter(None, (experiment, plate))) or "the store"
        raise ConfigurationError(f"{where} has no results to verify; `platestream status` shows the plates")
    found = Verification()
    for name in sorted({folder[0] for folder in folders}):
        found.add(verify_experiment(store, name))
        found.add(verify_analyses(store, name, is_quick=is_quick))
    for folder in folders:
        of_plate = verify_plate(store, folder, is_quick=is_quick)
        said(folder, of_plate)
        found.add(of_plate)
    return found


@dataclass
class StoreRepair:
    """Mends the plates of a store, one after another.

    Parameters
    ----------
    store, settings
        What is mended, and how sites are measured.
    images, declaration
        Folder of the images and experiment.yaml of a plate that was processed from elsewhere; else those in the store.
    """

    store: Store
    settings: Settings
    images: Path | None = None
    declaration: Path | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _compute: Compute | None = None

    def mend(self, damages: Sequence[Damage]) -> list[Mended]:
        """Mend what can be mended; one outcome for each damage."""
        by_folder: dict[PlateFolder, list[Damage]] = {}
        for damage in damages:
            by_folder.setdefault((damage.experiment, damage.plate, damage.recipe), []).append(damage)
        outcomes: list[Mended] = []
        with self._open:
            for folder, its_damages in by_folder.items():
                if folder[1]:
                    outcomes += self._mend_plate(folder, its_damages)
        for experiment in sorted({damage.experiment for damage in damages if not damage.plate}):
            whole = [damage for damage in damages if damage.experiment == experiment and not damage.plate]
            outcomes += mend_analyses(self.store, experiment, whole)  # of plates that are mended by then
        return outcomes

    def _mend_plate(self, folder: PlateFolder, damages: list[Damage]) -> list[Mended]:
        try:
            job = self._job(folder)
            return Repair(job, self._redo).mend(damages)
        except StoreUnavailableError:
            raise
        except PlateError as error:
            return [Mended(damage, False, f"the plate cannot be opened: {error}") for damage in damages]

    def _job(self, folder: PlateFolder) -> PlateJob:
        experiment, plate, recipe = folder
        if self.images is not None and self.declaration is not None:
            job = folder_job(self.images, self.declaration, plate=plate, settings=self.settings, recipe=recipe)
        else:
            job = open_job(self.store, experiment, plate, settle_s=0.0, recipe=recipe)
        refuse_run(job.experiment, self.settings, plate)
        return job

    def _redo(self, tasks: Sequence[SiteTask]) -> Mapping[str, str]:
        """Measure sites on the cluster, which is opened for the first of them."""
        if not tasks:
            return {}
        if self._compute is None:
            address = self._open.enter_context(open_for_run(self.settings))
            settings = self.settings.model_copy(update={"scheduler": address})
            self._compute = self._open.enter_context(connect(settings))
        futures = {self._compute.submit(measure_site, task, key=task.key): task for task in tasks}
        failed: dict[str, str] = {}
        for future, task in futures.items():
            while future.status not in OVER:
                time.sleep(TICK_S)
            if future.status == "cancelled":
                failed[task.plan.name] = "the cluster went away; repair it again"
            elif future.status == "error":
                error: Any = future.exception()
                failed[task.plan.name], _ = explain_failure(error, is_second=True)
            elif (status := future.result().status) != "done":
                failed[task.plan.name] = f"its images are {status} by now; repair it again"
        return failed
