"""All plate maps of an experiment, looked through before any plate is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imaging.errors import ConfigurationError
from imaging.platemaps.reading import DescribedMap, FindInPlate, FoundMap, MapReader
from imaging.platemaps.sources import PlateMapSource

if TYPE_CHECKING:
    from imaging.experiment import Experiment


@dataclass(frozen=True, slots=True)
class MapSummary:
    """What one file says: wells, different treatments, wells by control, and the plates that it holds for."""

    file: str
    wells: int
    treatments: int
    controls: dict[str, int] = field(default_factory=dict)
    plates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MapsCheck:
    """Every map file, and what is suspicious about them, one sentence each."""

    files: tuple[MapSummary, ...]
    warnings: tuple[str, ...] = ()


def check_plate_maps(
    store_read: Callable[[str], bytes],
    experiment: Experiment,
    plates: Iterable[str] = (),
    find_in_plate: FindInPlate | None = None,
) -> MapsCheck:
    """Read every plate map of an experiment, whether its plates are known yet or not.

    Parameters
    ----------
    store_read
        Gives the bytes of a file beside experiment.yaml; ``FileNotFoundError`` if there is none.
    experiment
        The declaration.
    plates
        Plates that are there, beside those that are declared.
    find_in_plate
        Finds maps in the folder of a plate that was given to look at.

    Raises
    ------
    ConfigurationError
        With every fault of every file in ``problems``; overlaps of files on known plates count too.
    """
    reader = MapReader(store_read, experiment, find_in_plate)
    known = tuple(dict.fromkeys([*experiment.plates, *plates]))
    files = [item for source in experiment.plate_maps for item in _summarize(reader, source, known)]
    if not reader.faults:
        for plate, sources in _plates_to_try(reader, known):
            reader.read(plate, sources)
    if faults := reader.faults:
        message = f"the plate maps have {len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ConfigurationError(message, faults.sentences(), experiment=experiment.name)
    return MapsCheck(tuple(files), tuple(f"{file}{sentence}" for file, sentence in reader.faults.warnings()))


def _summarize(reader: MapReader, source: PlateMapSource, known: tuple[str, ...]) -> list[MapSummary]:
    if source.file is not None:
        found = FoundMap(source, source.file)
        plates = [plate for plate in known if source in reader.sources_of(plate)] or reader.plates_in(found)
        plates = plates or list(source.plates)
        return [_summary(source.file, _described_for(reader, found, plates), tuple(plates))]
    if source.in_plate is not None:
        found_here = reader.maps_of(source, "")
        return [_summary(found.file, [reader.describe(found, "")], ("the plate looked at",)) for found in found_here]
    maps: dict[str, tuple[FoundMap, list[str]]] = {}
    for barcode in dict.fromkeys(item.barcode for item in reader.named_maps(source)):
        for found in reader.maps_of(source, barcode):
            maps.setdefault(found.file, (found, []))[1].append(barcode)
    return [
        _summary(file, _described_for(reader, found, plates), tuple(plates)) for file, (found, plates) in maps.items()
    ]


def _described_for(reader: MapReader, found: FoundMap, plates: list[str]) -> list[DescribedMap]:
    """What a file says of each of its plates: mostly the same."""
    described: list[DescribedMap] = []
    for plate in plates:
        item = reader.describe(found, plate)
        if not any(item is other for other in described):
            described.append(item)
    return described


def _summary(file: str, described: list[DescribedMap], plates: tuple[str, ...]) -> MapSummary:
    wells = [item.row for one in described for item in one.wells]
    treatments = {row.treatment for row in wells if row.treatment is not None}
    controls = Counter(row.control for row in wells if row.control is not None)
    return MapSummary(file, len(wells), len(treatments), dict(sorted(controls.items())), plates)


def _plates_to_try(reader: MapReader, known: tuple[str, ...]) -> list[tuple[str, tuple[PlateMapSource, ...] | None]]:
    """Plates whose maps are read whole: the known ones, each barcode, and one for each pattern of names."""
    tried: list[tuple[str, tuple[PlateMapSource, ...] | None]] = [(plate, None) for plate in known]
    sources = reader.experiment.plate_maps
    for source in sources:
        named = dict.fromkeys(item.barcode for item in reader.named_maps(source))
        tried += [(barcode, None) for barcode in named if barcode not in known]
        if source.file is not None and not any(source in reader.sources_of(plate) for plate, _ in tried):
            alike = tuple(item for item in sources if item.file and item.plates in (source.plates, ("*",)))
            names = reader.plates_in(FoundMap(source, source.file)) or [*source.plates[:1], ""][:1]
            tried += [(name, alike) for name in names]
    return tried
