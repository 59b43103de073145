"""Whether all that counts in a store is there and as it was written: each object against the record that names it.

What counts of a plate: its small records; the manifests that its current publication names, and each site's newest;
what those manifests name; every publication that is not given up, with its tables; its page and the description of its
OME-Zarr. Nothing is written. Uploaded images are not read: ``platestream upload --verify`` compares them with their
source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from imaging.acquisitions import list_decisions, read_decision
from imaging.damage import Damage, Verification, What, find_object_fault, is_damage
from imaging.errors import ConfigurationError, PlateError, StoredDataError
from imaging.illumination_frozen import load_field
from imaging.job import open_experiment
from imaging.live import PlateFolder, newest_manifests
from imaging.names import experiment_key, is_experimental, plate_folders, plate_zarr, results_prefix, stored
from imaging.promotions import read_promotions
from imaging.publication_records import find_publication_fault, read_publications
from imaging.records import field_key, manifest_key, next_name, pins_key, preview_key, publication_key, read_names
from imaging.store import Store, StoredObject
from imaging.stored_records import FIELD, PINS, SITE, SMALL, Shape, find_fault
from imaging.verify_images import MISSING, check_descriptions

READERS = 8
"""Objects that are read at once; the largest are shards of some 60 MB."""

_SMALL: dict[str, What] = {"attempts": "attempt", "faults": "fault", "decisions": "decision"}
_TABLE = "published tables of earlier versions (read whole instead)"
_RECORD = "small records (read instead)"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An object that a record names: what it is a part of, and size and checksum where the record holds them."""

    what: What
    key: str
    size_bytes: int | None = None
    crc32: str | None = None
    site: str = ""
    number: int = 0


def find_folders(store: Store, experiment: str = "", plate: str = "") -> list[PlateFolder]:
    """Plates with results, under each recipe; of one experiment or one plate where these are given."""
    experiments = [experiment] if experiment else store.list_folders("results/")
    return [
        (name, folder, recipe)
        for name in experiments
        for folder in ([plate] if plate else plate_folders(store, name))
        for recipe in store.list_folders(f"results/{name}/{folder}/")
    ]


def verify_experiment(store: Store, experiment: str) -> Verification:
    """Read what belongs to an experiment as a whole: declaration, promotions, decisions about acquisitions."""
    found = Verification()

    def read(what: What, reader: Callable[[], object]) -> None:
        try:
            reader()
        except ConfigurationError as error:
            key, fault = experiment_key(experiment), f"is at fault: {error.message}"
            found.damages.append(Damage(experiment, "", "", what, key, fault))
        except PlateError as error:
            if not is_damage(store, error):
                raise
            found.damages.append(Damage(experiment, "", "", what, error.key, "cannot be read"))

    if store.exists(experiment_key(experiment)):  # plates can also be processed from a folder elsewhere
        read("declaration", lambda: open_experiment(store, experiment))
    read("promotion", lambda: read_promotions(store, experiment))
    for barcode, numbers in list_decisions(store, experiment).items():
        for number in numbers:
            read("acquisition", partial(read_decision, store, experiment, barcode, number))
    return found


def verify_plate(store: Store, folder: PlateFolder, *, is_quick: bool = False) -> Verification:
    """Verify a plate under one recipe.

    Parameters
    ----------
    store, folder
        Where the plate is.
    is_quick
        Compare presence and sizes alone: records are read, data are not.

    Raises
    ------
    StoreUnavailableError
        If the store does not answer.
    """
    return _PlateCheck(store, folder, is_quick).check()


@dataclass
class _PlateCheck:
    store: Store
    folder: PlateFolder
    is_quick: bool
    found: Verification = field(default_factory=Verification)
    wanted: list[_Wanted] = field(default_factory=list)

    def check(self) -> Verification:
        self.prefix = results_prefix(*self.folder)
        listing = self.store.list(self.prefix)
        self.listed = listing.objects
        self.sizes = {item.key: item.size for item in self.listed}
        zarr = f"{plate_zarr(*self.folder[:2])}/"
        self.sizes |= {item.key: item.size for item in self.store.list(zarr).objects}
        self.records = read_names(self.prefix, listing)
        record = self._check_publications()
        self._check_small()
        self._check_pinned()
        manifests, is_whole = self._check_manifests(record or {})
        self._check_page(record)
        if record and self._describes_images(record):
            for key, fault in check_descriptions(self.store, zarr.rstrip("/"), manifests, self.sizes):
                if is_whole or fault == MISSING:  # what one should say is known by all sites alone
                    self._note("description", key, fault)
        self._compare()
        return self.found

    def _note(self, what: What, key: str, fault: str, **place: Any) -> None:
        self.found.damages.append(Damage(*self.folder, what, key, fault, **place))

    def _read(self, key: str, find: Callable[[dict[str, Any]], str]) -> tuple[dict[str, Any], str]:
        """A record and its checksum; where it is none, or ``find`` a fault, the sentence's end instead, raised."""
        try:
            data = self.store.read(key)
            record = json.loads(data)
        except FileNotFoundError:
            raise StoredDataError("is missing", key=key) from None
        except PlateError as error:
            if not is_damage(self.store, error):
                raise
            raise StoredDataError(f"cannot be read: {error.message}", key=key) from error
        except (ValueError, RecursionError):
            raise StoredDataError("cannot be read", key=key) from None
        if not isinstance(record, dict):
            raise StoredDataError("cannot be read", key=key)
        if fault := find(record):
            raise StoredDataError(fault, key=key)
        self.found.objects += 1
        self.found.size_bytes += len(data)
        return record, stored(key, data)["crc32"]

    def _check_publications(self) -> dict[str, Any] | None:
        """Check the records of publications; return the current one, if it can be read."""
        sums, seen = self._publication_sums()
        current = None
        number = max(seen, default=0)
        key = publication_key(self.prefix, number)
        if number > self.records.last_number and not self.store.exists(key):
            self._note("publication", key, "is missing", number=number)
        for number in self.records.publications:
            what: What = "publication" if number == self.records.last_number else "superseded"
            key = publication_key(self.prefix, number)
            try:
                record, crc32 = self._read(key, find_publication_fault)
            except StoredDataError as error:
                self._note(what, key, error.message, number=number)
                continue
            if number not in sums:
                self.found.unprotected[_RECORD] += 1
            elif sums[number] != crc32:
                self._note(what, key, "is not what was written", number=number)
            self.wanted += _named_by_publication(record, what, number)
            if number == self.records.last_publication:
                current = record
        return current

    def _publication_sums(self) -> tuple[dict[int, str], set[int]]:
        """Checksums of publication records as the records of their projections hold them, and numbers seen there."""
        sums: dict[int, str] = {}
        seen: set[int] = set()
        for name in self.records.projected:
            number = int(name.partition("-")[0])
            seen.add(number)
            try:
                record, _ = self._read(f"{self.prefix}projected/{name}.json", lambda record: "")
                sums[number] = record["record"]["crc32"]
            except (StoredDataError, KeyError, TypeError):  # of an earlier version, or damaged: it means no more
                continue
        return sums, seen

    def _check_small(self) -> None:
        for kind, what in _SMALL.items():
            find = _has_shape(SMALL[kind])
            for key in sorted(key for key in self.sizes if key.startswith(f"{self.prefix}{kind}/")):
                self.found.unprotected[_RECORD] += 1
                try:
                    self._read(key, find)
                except StoredDataError as error:
                    self._note(what, key, error.message)

    def _check_pinned(self) -> None:
        """Check what is frozen for all sites of the plate."""
        is_corrected = False
        if self.records.has_pins or self.records.manifests or self.records.previews:
            self.found.unprotected[_RECORD] += 1
            try:
                record, _ = self._read(pins_key(self.prefix), _has_shape(PINS))
                is_corrected = bool(record.get("illumination") and self.records.manifests)
            except StoredDataError as error:
                self._note("pins", error.key, error.message)
        key = field_key(self.prefix)
        if not self.records.has_field:
            if is_corrected and not self.store.exists(key):
                self._note("frozen", key, "is missing")
            return
        try:
            record, _ = self._read(key, _has_shape(FIELD))
        except StoredDataError as error:
            self._note("frozen", key, error.message)
            return
        if bool(record.get("digest")) != bool(record.get("field")):
            self._note("frozen", key, "names a field without its digest, or a digest without a field")
        elif described := record["field"]:
            self.wanted.append(_Wanted("field", described["key"], described.get("size_bytes"), described.get("crc32")))
            self._check_digest(record)

    def _check_digest(self, record: Mapping[str, Any]) -> None:
        """Compare the digest of the frozen field, which names all sites, with the field; its own damage shows later."""
        if self.is_quick:
            return
        try:
            found = load_field(self.store, record["field"]).digest
        except PlateError as error:
            if not is_damage(self.store, error):
                raise
            return
        if found != record["digest"]:
            self._note("frozen", field_key(self.prefix), "has another digest than its field")

    def _check_manifests(self, publication: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """Check the manifests that count; return those of the publication that can be read, and whether all can."""
        keys = list(publication.get("manifests") or ())
        sums: dict[str, str] = dict(zip(keys, publication.get("manifest_sums") or (), strict=False))
        voids = {make(self.prefix, name) for name in self.records.voids for make in (manifest_key, preview_key)}
        there = [item for item in self.listed if item.key not in voids]
        newest = _counting_manifests(item for item in there if item.key.startswith(f"{self.prefix}sites/"))
        if not self.records.last_number and not self.records.has_field:  # after that nothing rests on previews
            newest += _counting_manifests(item for item in there if item.key.startswith(f"{self.prefix}previews/"))
        counting = dict.fromkeys([*keys, *newest])
        read: dict[str, dict[str, Any]] = {}
        for key in counting:
            site = key.rpartition("/")[2].removesuffix(".json")
            if key in voids:  # what made it void is known, and the plate is published anew when the site is done
                continue
            try:
                record, crc32 = self._read(key, _has_shape(SITE))
                wanted = list(_named_by_manifest(record, site))
            except StoredDataError as error:
                self._note("site", key, error.message, site=site)
                continue
            except (KeyError, TypeError, AttributeError):
                self._note("site", key, "lacks what it must have", site=site)
                continue
            if sums.get(key, crc32) != crc32:
                self._note("site", key, "is not what was written", site=site)
            self.found.unprotected[_RECORD] += key not in sums
            self.wanted += wanted
            read[key] = record
        return [read[key] for key in keys if key in read], read.keys() >= set(keys)

    def _check_page(self, record: Mapping[str, Any] | None) -> None:
        """Look whether the page is there; it can be written again at any time."""
        key = f"{self.prefix}page/index.html"
        if record and record.get("tables") and not self._size_of(key):
            self._note("page", key, "is missing" if self._size_of(key) is None else "is empty")

    def _size_of(self, key: str) -> int | None:
        """Size of an object in bytes; a plate being imaged may have one that was not there yet when it was listed."""
        if key not in self.sizes:
            try:
                self.sizes[key] = self.store.look_up(key).size
            except (FileNotFoundError, NotADirectoryError):
                return None
            except PlateError as error:
                if not is_damage(self.store, error):
                    raise
                return None
        return self.sizes[key]

    def _describes_images(self, record: Mapping[str, Any]) -> bool:
        """Whether the description of the plate's OME-Zarr is of this publication: the newest of all recipes."""
        if not record.get("tables") or is_experimental(self.folder[2]):
            return False
        newest = (record["published_at"], self.folder[2])
        for experiment, plate, recipe in find_folders(self.store, *self.folder[:2]):
            prefix = results_prefix(experiment, plate, recipe)
            numbers = read_names(prefix, self.store.list(f"{prefix}publications/")).publications
            if recipe == self.folder[2] or is_experimental(recipe) or not numbers:
                continue
            try:
                (other,) = read_publications(self.store, [publication_key(prefix, numbers[-1])])
            except PlateError as error:
                if not is_damage(self.store, error):
                    raise
                continue
            if other["tables"] and (other["published_at"], recipe) > newest:
                return False
        return True

    def _compare(self) -> None:
        """Compare objects with what their records say of them, many at once."""
        with ThreadPoolExecutor(READERS) as pool:
            for item, fault in zip(self.wanted, pool.map(self._find_fault, self.wanted), strict=True):
                self.found.objects += 1
                self.found.size_bytes += 0 if self.is_quick else self.sizes.get(item.key, 0)
                if item.crc32 is None:
                    self.found.unprotected[_TABLE] += 1
                if fault:
                    self._note(item.what, item.key, fault, site=item.site, number=item.number)

    def _find_fault(self, item: _Wanted) -> str:
        """What is wrong with an object; empty where nothing is."""
        size, said = self._size_of(item.key), {"size_bytes": item.size_bytes, "crc32": item.crc32}
        return find_object_fault(self.store, item.key, size, **said, is_quick=self.is_quick)


def _has_shape(shape: Shape) -> Callable[[dict[str, Any]], str]:
    """What is wrong with a record of this shape, as the end of a sentence; empty if nothing is."""

    def find(record: dict[str, Any]) -> str:
        fault = find_fault(record, shape)
        return f"is damaged: {fault}" if fault else ""

    return find


def _counting_manifests(objects: Iterable[StoredObject]) -> list[str]:
    """Each site's newest manifest, and those done again whose damage nobody recorded, as a repair was ended by then."""
    manifests = {item.key: item for item in objects}
    done_again = (key for key in manifests if f"{next_name(key.removesuffix('.json'))}.json" in manifests)
    return [*newest_manifests(manifests.values()), *done_again]


def _named_by_manifest(record: Mapping[str, Any], site: str) -> Iterator[_Wanted]:
    images = record["zarr"]["objects"] if record["zarr"] else []
    for item in (record["part"], record.get("image_part"), *images):
        if item:
            yield _Wanted("site", item["key"], item["size_bytes"], item["crc32"], site=site)


def _named_by_publication(record: Mapping[str, Any], what: What, number: int) -> Iterator[_Wanted]:
    sums = record.get("table_sums") or {}
    for name, key in (record.get("tables") or {}).items():
        item = sums.get(name, {})
        yield _Wanted(what, key, item.get("size_bytes"), item.get("crc32"), number=number)
    for item in ((record.get("illumination") or {}).get("fields") or {}).values():
        yield _Wanted(what, item["key"], item["size_bytes"], item["crc32"], number=number)
