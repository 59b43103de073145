"""Whether an experiment's analyses are there as they were written, and making again what is not.

All but what a person decided follows from publications and recipes: what is damaged is deleted and analysed anew. A
record is deleted last, when a newer one shows in its place, so a repair may be ended anywhere and begun again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from imaging.analyses.analysis_records import (
    ANALYSED_STATUS,
    DAMAGED,
    PLATES,
    AnalysisRecord,
    Listed,
    analyses_folder,
    list_analyses,
    list_numbers,
    read_analyses,
    read_json,
    record_key,
    told_key,
)
from imaging.analyses.declared_recipes import read_declared_recipes
from imaging.analyses.numbered import CHOICES, DECISIONS, check_numbered
from imaging.analyses.projection import board_key, project_experiment
from imaging.analyses.pulse import beating
from imaging.analyses.reconcile import find_due, reconcile
from imaging.damage import Damage, Verification, What, find_object_fault, is_damage
from imaging.errors import ConfigurationError, PlateError, StoredDataError, StoreUnavailableError
from imaging.page_parts import experiment_page_folder
from imaging.repair import Mended
from imaging.store import Store

_READERS = 8
_SAID = {
    "analysis": "analysed anew",
    "earlier": "given up: a newer analysis is shown",
    "kept": "deleted; it is made again when it is needed",
    "choice": "recorded again, as analysis.yaml says",
    "page": "written again",
}


def verify_analyses(store: Store, experiment: str, *, is_quick: bool = False) -> Verification:
    """Compare every record of an experiment's analyses and what they name with what was written.

    Parameters
    ----------
    store, experiment
        Where it is.
    is_quick
        Compare presence and sizes alone: records are read, tables are not.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    listed = list_analyses(store, experiment)
    if not listed.sizes:
        return Verification()
    return _Check(store, listed, is_quick).check()


@dataclass
class _Check:
    store: Store
    listed: Listed
    is_quick: bool
    found: Verification = field(default_factory=Verification)

    def check(self) -> Verification:
        declared = self._declared()
        records = read_analyses(self.store, self.listed)
        for record in records:
            is_current = record.number == self.listed.last(record.recipe) and record.recipe in declared
            self._check_record(record, "analysis" if is_current else "earlier")
        self._check_kept()
        self._check_numbered()
        if self.listed.told and any(record.status == ANALYSED_STATUS for record in records):
            page = f"{experiment_page_folder(self.listed.experiment)}index.html"
            for key in (board_key(self.listed.experiment), page):
                if not self.store.exists(key):
                    self._note("page", key, "is missing")
        return self.found

    def _declared(self) -> set[str]:
        """Recipes whose current analysis can be made again; all that there are, where analysis.yaml is at fault."""
        try:
            return {recipe.id for recipe in read_declared_recipes(self.store, self.listed.experiment).all}
        except ConfigurationError:
            return set(self.listed.numbers)

    def _note(self, what: What, key: str, fault: str, recipe: str = "", number: int = 0) -> None:
        self.found.damages.append(Damage(self.listed.experiment, "", recipe, what, key, fault, number=number))

    def _check_record(self, record: AnalysisRecord, what: What) -> None:
        self.found.objects += 1
        self.found.size_bytes += self.listed.sizes.get(record.key, 0)
        if record.status == DAMAGED:
            self._note(what, record.key, "cannot be read", record.recipe, record.number)
            return
        for about, fault in self._compare(list((record.content.get("tables") or {}).values())):
            self._note(what, about["key"], fault, record.recipe, record.number)

    def _check_kept(self) -> None:
        """Check what is kept of single plates; a name that was given up for its damage may have a younger one."""
        folder = f"{analyses_folder(self.listed.experiment)}{PLATES}/"
        for key in sorted(key for key in self.listed.sizes if key.startswith(folder) and key.endswith(".json")):
            self.found.objects += 1
            try:
                named = list(read_json(self.store, key)["data"].values())
                faults = [fault for _, fault in self._compare(named)]
            except (PlateError, KeyError, TypeError, AttributeError) as error:
                if isinstance(error, PlateError) and not is_damage(self.store, error):
                    raise
                faults = ["cannot be read"]
            for fault in faults[:1]:
                self._note("kept", key, fault if fault == "cannot be read" else f"names data of which one {fault}")

    def _check_numbered(self) -> None:
        kinds: tuple[tuple[str, What], ...] = ((CHOICES, "choice"), (DECISIONS, "exclusion"))
        for kind, what in kinds:
            for key, is_sound in check_numbered(self.store, self.listed.experiment, kind):
                self.found.objects += 1
                if not is_sound:
                    self._note(what, key, "cannot be read")

    def _compare(self, named: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Objects that are not what their record says, each with what is wrong."""
        with ThreadPoolExecutor(_READERS) as pool:
            for about, fault in zip(named, pool.map(self._find_fault, named), strict=True):
                self.found.objects += 1
                self.found.size_bytes += 0 if self.is_quick else self.listed.sizes.get(about["key"], 0)
                if fault:
                    yield about, fault

    def _find_fault(self, about: Mapping[str, Any]) -> str:
        size, said = (
            self.listed.sizes.get(about["key"]),
            {"size_bytes": about["size_bytes"], "crc32": about.get("crc32")},
        )
        return find_object_fault(self.store, about["key"], size, **said, is_quick=self.is_quick)


def mend_analyses(store: Store, experiment: str, damages: Sequence[Damage]) -> list[Mended]:
    """Mend damage of an experiment's analyses; one outcome for each.

    Parameters
    ----------
    store, experiment
        Where it is.
    damages
        What `verify_analyses` found.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer; what is mended stays mended.
    """
    by_hand = [damage for damage in damages if damage.what not in _SAID]
    ours = [damage for damage in damages if damage.what in _SAID]
    outcomes = [Mended(damage, False, damage.cure) for damage in by_hand]
    if not ours:
        return outcomes
    records = {record_key(experiment, damage.recipe, damage.number) for damage in ours if damage.number}
    try:
        for damage in ours:
            if damage.what in ("choice", "kept"):
                _delete(store, damage)
        find_due(store, experiment)  # raises where nothing could be made again: then tables stay as they are
        with beating(store, experiment, "platestream repair"):
            for damage in ours:
                if damage.what in ("analysis", "earlier") and damage.key not in records:
                    store.delete(damage.key)
            reconcile(store, experiment)
            project_experiment(store, experiment)
        last = list_numbers(store, experiment)
        for damage in ours:
            is_last = damage.number == last.get(damage.recipe, (0,))[-1]
            if damage.number and (not is_last or damage.what == "earlier"):  # its recipe may be declared no longer
                if is_last:  # its number is given again
                    store.delete(told_key(experiment, damage.recipe, damage.number))
                store.delete(record_key(experiment, damage.recipe, damage.number))
    except StoreUnavailableError:
        raise
    except PlateError as error:
        return [*outcomes, *(Mended(damage, False, f"the experiment cannot be analysed: {error}") for damage in ours)]
    return [*outcomes, *(Mended(damage, True, _SAID[damage.what]) for damage in ours)]


def _delete(store: Store, damage: Damage) -> None:
    """Delete a damaged object, and with the record of what was kept of a plate its data."""
    if damage.what == "kept":
        try:
            for about in read_json(store, damage.key)["data"].values():
                store.delete(about["key"])
        except (StoredDataError, KeyError, TypeError, AttributeError):
            pass  # data that no record names are swept
    store.delete(damage.key)
