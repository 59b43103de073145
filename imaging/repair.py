"""Mending what is damaged of a plate: just that, from the uploaded images and what is whole.

Every step leaves the store as good as it was or better, whoever is killed in it:

    a site        is measured under its next name, and only then the damaged manifest is declared void
    a publication is declared void, which hides nothing, and the plate is published anew under the next number
    a record      is written again under its name, in one step, where nothing else can follow from what it says now
    a projection  is written again

So a repair may be begun again at any time, and two of them do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from imaging.damage import Damage
from imaging.errors import PlateError, StoreUnavailableError
from imaging.job import PlateJob
from imaging.plane_files import read_site
from imaging.planning import SitePlan
from imaging.projection import project, publish_and_project
from imaging.publication import read_publication
from imaging.records import next_inputs
from imaging.repair_fields import write_field, write_frozen
from imaging.repair_records import write_decision, write_failure, write_fault, write_pins
from imaging.site import SiteTask
from imaging.steps import site_task
from imaging.voids import void_publication, void_site

_READERS = 4

Redo = Callable[[Sequence[SiteTask]], Mapping[str, str]]
"""Processes sites; returns for each that was not done, by its name, why."""

NOT_PUBLISHED = "the plate is published anew when nothing of it is waited for"
NOT_READY = "its images are not all there; upload them again"


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of one damage: whether it is mended, and what was done, or why it could not be."""

    damage: Damage
    is_mended: bool
    said: str


@dataclass
class Repair:
    """Mends one plate under one recipe.

    Parameters
    ----------
    job
        The plate.
    redo
        Processes sites, here or on a cluster.
    """

    job: PlateJob
    redo: Redo
    _outcomes: list[Mended] = field(default_factory=list)

    def mend(self, damages: Iterable[Damage]) -> list[Mended]:
        """Mend what can be mended; one outcome for each damage.

        Raises
        ------
        StoreUnavailableError
            If the store does not answer: what is mended stays mended.
        """
        self._outcomes = []
        by_kind: dict[str, list[Damage]] = {}
        for damage in damages:
            by_kind.setdefault(damage.what, []).append(damage)
        for kind in ("pins", "frozen", "field", "decision", "fault", "attempt"):
            for damage in by_kind.get(kind, ()):
                self._mend_record(damage)
        sites = self._mend_sites(by_kind.get("site", []))
        publications = by_kind.get("publication", [])
        for damage in (*publications, *by_kind.get("superseded", ())):
            is_current = damage.what == "publication"
            reason = f"{damage.key} {damage.fault}"
            void_publication(self.job.store, self.job.prefix, damage.number, reason, is_current=is_current)
            if not is_current:
                self._say(damage, f"publication {damage.number} is given up; a newer one is shown")
        self._project([*sites, *publications], [*by_kind.get("description", ()), *by_kind.get("page", ())])
        return self._outcomes

    def _say(self, damage: Damage, said: str, *, is_mended: bool = True) -> None:
        self._outcomes.append(Mended(damage, is_mended, said))

    def _mend_record(self, damage: Damage) -> None:
        mend = _RECORDS.get(damage.what)
        if mend is None:
            self._say(damage, damage.cure, is_mended=False)
            return
        try:
            self._say(damage, mend(self.job, damage))
        except FileNotFoundError:  # what it would be made again from
            self._say(damage, damage.cure, is_mended=False)
        except PlateError as error:
            self._say(damage, error.message, is_mended=False)

    def _mend_sites(self, damages: list[Damage]) -> list[Damage]:
        """Do sites again whose manifests or data are damaged; return the damages of those that are done."""
        if not damages:
            return []
        try:
            plan = self.job.survey()
            self.job.ensure_pins()
        except PlateError as error:
            for damage in damages:
                self._say(damage, f"its site is not done again: {error}", is_mended=False)
            return []
        planned = {f"{site.well}-{site.site}": site for site in plan.sites}
        due, refused = self._choose(planned, damages, plan.records.voids)
        failed = {**refused, **self.redo([site_task(self.job, site) for site in due.values()])}
        mended = []
        for damage in damages:
            place = _place(damage.site)
            name = due[place].name if place in due else place
            if why := failed.get(name) or failed.get(place):
                self._say(damage, f"its site is not done again: {why}", is_mended=False)
                continue
            void_site(self.job.store, self.job.prefix, damage.site, f"{damage.key} {damage.fault}")
            mended.append(damage)
        return mended

    def _choose(
        self, planned: Mapping[str, SitePlan], damages: list[Damage], void: frozenset[str]
    ) -> tuple[dict[str, SitePlan], dict[str, str]]:
        """Sites to be done, as they will be planned once their damaged manifests are void, and why others cannot be.

        A site that is whole under another name, as after an identical upload, needs nothing but the record.
        """
        due: dict[str, SitePlan] = {}
        refused: dict[str, str] = {}
        damaged = {damage.site for damage in damages} | void
        for place in sorted({_place(damage.site) for damage in damages}):
            site = planned.get(place)
            if site is None or not site.inputs or site.state == "failed":
                refused[place] = NOT_READY if site is None or site.state != "failed" else "it failed three times"
                continue
            again = site
            while again.name in damaged:
                again = replace(again, inputs=next_inputs(again.inputs), state="todo", attempts=0)
            if again.state not in ("done", "previewed"):
                due[place] = again
        with ThreadPoolExecutor(_READERS) as pool:
            for place, why in zip(due, pool.map(self._find_obstacle, due.values()), strict=True):
                if why:
                    refused[place] = why
        return {place: site for place, site in due.items() if place not in refused}, refused

    def _find_obstacle(self, site: SitePlan) -> str:
        """Why a site cannot be done again; empty if nothing is in the way.

        It is asked before, as a worker that finds an image unreadable records that for good.
        """
        recipe = self.job.ensure_pins()["pixels"]["recipe"]
        try:
            reading = read_site(self.job.raw, self.job.raw_folder, site, recipe)
        except FileNotFoundError as error:
            return f"{NOT_READY} ({error})"
        except PlateError as error:
            return str(error)
        faults = [f"{file.shown}: {reason}" for _, file, reason in reading.faults]
        return f"{'; '.join(faults)}; upload the image again" if faults else ""

    def _project(self, published: list[Damage], projected: list[Damage]) -> None:
        """Publish anew where that is due, and write page and description again where these are damaged."""
        if published:
            self._publish(published)
        if not projected:
            return
        why = ""
        try:
            records = self.job.survey().records
            if records.last_publication and not records.is_last_void:
                project(self.job, read_publication(self.job, records.last_publication))
            else:
                why = "the plate has no whole publication to write it from"
        except StoreUnavailableError:
            raise
        except PlateError as error:
            why = str(error)
        for damage in projected:
            self._say(damage, f"it is not written again: {why}" if why else "it is written again", is_mended=not why)

    def _publish(self, due: list[Damage]) -> None:
        """Publish the plate anew, if nothing of it is waited for."""
        try:
            publication = publish_and_project(self.job)
        except StoreUnavailableError:
            raise
        except PlateError as error:
            said, is_published = f"the plate is not published anew: {error}", False
        else:
            is_published = publication is not None
            said = f"publication {publication.number} holds it" if publication else NOT_PUBLISHED
        for damage in due:
            is_site = damage.what == "site"
            done = (
                "its site is measured again; " if is_site else "the plate is published anew; " if is_published else ""
            )
            self._say(damage, f"{done}{said}", is_mended=is_site or is_published)


def _place(name: str) -> str:
    """``<well>-<site>`` of a manifest's name."""
    return name.rpartition("-")[0]


_RECORDS: Mapping[str, Callable[[PlateJob, Damage], str]] = {
    "pins": write_pins,
    "frozen": write_frozen,
    "field": write_field,
    "decision": write_decision,
    "fault": write_fault,
    "attempt": write_failure,
}
