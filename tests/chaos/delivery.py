"""A delivery with all accidents: three plates interleaved and shuffled, duplicates, corrupt files, gaps, latecomers.

Of all images 2 % come twice, under their name or another, 1 % come truncated and whole only once the fault is recorded,
1 % never come; at least one each. One plate's manifest comes last of all, and one image after its plate was published.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from imaging.planning import Plan
from tests.chaos.plates import DECLARATIONS, PLATE_MAP, Place, Plate

Upload = Callable[[str, bytes], object]
"""Puts an uploaded file where the microscope would, by its key."""


@dataclass(frozen=True)
class Parcel:
    """One file that comes: its key in the store and its content."""

    key: str
    data: bytes


@dataclass
class Delivery:
    """What is still to come, and what a person does meanwhile."""

    plates: list[Plate]
    upload: Upload
    parcels: list[Parcel]
    never: frozenset[tuple[str, Place]]
    late: tuple[str, Parcel]
    replacements: dict[str, Parcel]
    waits_before_late: int = 0
    sent: int = 0
    happened: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether all has come that ever will."""
        return not self.parcels and not self.replacements and "late" in self.happened

    def declare(self) -> None:
        """Put the experiments' declarations into the store."""
        for experiment, text in DECLARATIONS.items():
            self.upload(f"experiments/{experiment}/experiment.yaml", text.encode())
        self.upload("experiments/wounds/map.csv", PLATE_MAP.encode())

    def send(self, count: int) -> None:
        """Upload the next so many files."""
        for parcel in self.parcels[:count]:
            self._send(parcel)
        del self.parcels[:count]

    def attend(self, plans: dict[str, Plan]) -> None:
        """Do what a person would who sees these plans: replace corrupt files, and find a forgotten image."""
        for name, plan in plans.items():
            for *_, file in plan.faulted:
                key = next((key for key in self.replacements if key.endswith(f"/{name}/{file.name}")), "")
                if key:
                    self._send(self.replacements.pop(key))
                    self.happened.append("replaced")
        name, parcel = self.late
        if "late" not in self.happened and plans[name].records.last_publication:
            self.waits_before_late -= 1
            if self.waits_before_late < 0:
                self._send(parcel)
                self.happened.append("late")

    def expected(self, plate: Plate) -> dict[Place, str]:
        """The state that each image of a plate must be in at the end."""
        return {place: "missing" if (plate.name, place) in self.never else "arrived" for place in plate.images}

    def _send(self, parcel: Parcel) -> None:
        self.upload(parcel.key, parcel.data)
        self.sent += 1


def plan_delivery(plates: list[Plate], chance: random.Random, upload: Upload) -> Delivery:
    """Choose accidents and order."""
    all_images = [(plate, place) for plate in plates for place in plate.images]
    twice, corrupt, never = (max(1, round(share * len(all_images))) for share in (0.02, 0.01, 0.01))
    chosen = chance.sample(all_images, twice + corrupt + never + 1)
    duplicates, chosen = chosen[:twice], chosen[twice:]
    truncated, chosen = chosen[:corrupt], chosen[corrupt:]
    gaps, ((late_plate, late_place),) = chosen[:never], chosen[never:]
    held_back = {_key_of(plate, place) for plate, place in (*gaps, (late_plate, late_place))}
    whole = {_key_of(*item): _parcel(*item) for item in all_images if _key_of(*item) not in held_back}
    replacements = {_key_of(*item): whole[_key_of(*item)] for item in truncated}
    for key, parcel in replacements.items():
        whole[key] = Parcel(key, parcel.data[: len(parcel.data) * 6 // 10])
    parcels = list(whole.values())
    chance.shuffle(parcels)
    for plate, place in duplicates:  # somewhere behind its first coming
        first = parcels.index(whole[_key_of(plate, place)])
        parcels.insert(chance.randint(first + 1, len(parcels)), _again(plate, place, chance))
    parcels += [Parcel(plate.folder + plate.manifest[0], plate.manifest[1]) for plate in plates if plate.manifest]
    late = (late_plate.name, _parcel(late_plate, late_place))
    never_come = frozenset((plate.name, place) for plate, place in gaps)
    return Delivery(plates, upload, parcels, never_come, late, replacements, chance.choice((0, 0, 25)))


def _key_of(plate: Plate, place: Place) -> str:
    return plate.folder + plate.images[place][0]


def _parcel(plate: Plate, place: Place) -> Parcel:
    return Parcel(_key_of(plate, place), plate.images[place][1])


def _again(plate: Plate, place: Place, chance: random.Random) -> Parcel:
    """The same image under its own name, or in another folder where the format allows that."""
    name, data = plate.images[place]
    return Parcel(plate.folder + ("again/" if plate.manifest is None and chance.random() < 0.5 else "") + name, data)
