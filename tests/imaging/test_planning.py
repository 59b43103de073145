"""Planning: a pure function of a listing and the names of records."""

from __future__ import annotations

from dataclasses import replace

from imaging.arrivals import sort_arrivals
from imaging.experiment import Experiment, read_experiment
from imaging.planning import Gap, Plan, plan_plate
from imaging.records import Records, fault_name, read_names
from imaging.store import Listing, RefusedName, StoredObject
from tests.imaging.small_plate import EXPERIMENT

SCREEN = read_experiment(EXPERIMENT.encode())


def stored(name: str, *, modified: float = 100.0, token: str = "t", size: int = 10) -> StoredObject:
    return StoredObject(f"raw/{name}", size, token, modified)


def plan_of(
    *objects: StoredObject, records: Records | None = None, now: float = 110.0, experiment: Experiment = SCREEN
) -> Plan:
    arrivals = sort_arrivals(experiment, "raw/", objects)
    return plan_plate(experiment, arrivals, records or Records(), pins="pins", now=now)


def pair(well: str, **changes: object) -> list[StoredObject]:
    return [stored(f"{well}_{code}.tif", **changes) for code in ("w1", "w2")]  # type: ignore[arg-type]  # test values


def test_a_site_is_ready_when_every_channel_is_there() -> None:
    plan = plan_of(*pair("A01"), stored("A02_w1.tif"))
    assert [site.well for site in plan.todo] == ["A01"]
    assert next((site.well, site.awaited) for site in plan.of("waiting")) == ("A02", ("GFP",))


def test_inputs_change_with_a_token_the_pins_or_a_second_file_and_with_nothing_else() -> None:
    base = plan_of(*pair("A01")).todo[0].inputs
    assert plan_of(*reversed(pair("A01")), *pair("B01")).todo[0].inputs == base
    assert plan_of(*pair("A01", modified=50.0)).todo[0].inputs == base
    assert plan_of(*pair("A01", token="u")).todo[0].inputs != base
    assert plan_of(*pair("A01"), stored("again/A01_w1.tif")).todo[0].inputs != base
    arrivals = sort_arrivals(SCREEN, "raw/", pair("A01"))
    assert plan_plate(SCREEN, arrivals, Records(), pins="others", now=0.0).todo[0].inputs != base


def test_the_newest_of_several_files_counts_and_ties_go_by_name() -> None:
    newest = plan_of(*pair("A01"), stored("x/A01_w1.tif", modified=101.0)).todo[0]
    assert newest.files["DNA"].name == "x/A01_w1.tif"
    tied = plan_of(*pair("A01"), stored("x/A01_w1.tif")).todo[0]
    assert tied.files["DNA"].name == "A01_w1.tif"


def test_a_faulted_version_counts_as_not_arrived_and_an_older_one_takes_its_place() -> None:
    objects = [*pair("A01"), stored("x/A01_w1.tif", modified=101.0)]
    newest = plan_of(*objects).todo[0].files["DNA"]
    site = plan_of(*objects, records=Records(faults=frozenset({fault_name(newest)}))).todo[0]
    assert site.files["DNA"].name == "A01_w1.tif"
    assert site.others == ()


def test_a_decision_makes_a_site_ready_and_an_arrival_overrides_it() -> None:
    decided = Records(missing=frozenset({("A01", 1, "GFP")}))
    without = plan_of(stored("A01_w1.tif"), records=decided).todo[0]
    assert without.missing == ("GFP",)
    complete = plan_of(*pair("A01"), records=decided).todo[0]
    assert complete.missing == ()
    assert complete.inputs == plan_of(*pair("A01")).todo[0].inputs


def test_a_site_is_done_by_the_name_of_its_manifest_and_failed_by_its_third_attempt() -> None:
    name = plan_of(*pair("A01")).todo[0].name
    assert plan_of(*pair("A01"), records=Records(manifests=frozenset({name}))).sites[0].state == "done"
    assert plan_of(*pair("A01"), records=Records(attempts={name: 2})).sites[0].state == "todo"
    assert plan_of(*pair("A01"), records=Records(attempts={name: 3})).sites[0].state == "failed"


def test_what_is_missing_is_due_when_nothing_came_for_longer_than_the_patience() -> None:
    assert plan_of(stored("A01_w1.tif"), now=160.0).due == ()
    assert Gap("A01", 1, "GFP") in plan_of(stored("A01_w1.tif"), now=161.0).due
    assert plan_of(now=1e9).due == ()


def test_a_file_from_the_future_does_not_stop_the_clock() -> None:
    assert plan_of(stored("A01_w1.tif"), stored("A02_w1.tif", modified=1e12), now=200.0).due
    assert plan_of(stored("A01_w1.tif", modified=1e12), now=200.0).due


def test_a_plate_is_publishable_when_each_site_is_done_failed_or_missing() -> None:
    objects = [*pair("A01"), *pair("A02"), *pair("B01")]
    names = [site.name for site in plan_of(*objects).todo]
    missing = frozenset({("B02", 1, "DNA"), ("B02", 1, "GFP")})
    records = Records(manifests=frozenset(names[:2]), attempts={names[2]: 3}, missing=missing)
    assert plan_of(*objects, records=records).is_publishable
    assert not plan_of(*objects, records=Records(manifests=frozenset(names[:2]), missing=missing)).is_publishable
    assert not plan_of(records=Records(missing=missing)).is_publishable


def test_names_that_are_no_image_come_with_a_reason() -> None:
    arrivals = sort_arrivals(
        SCREEN,
        "raw/",
        [stored("notes.txt"), stored("D06_w1.tif"), stored("A01_w9.tif"), stored(".DS_Store"), stored("x/Thumbs.db")],
        [RefusedName("raw/a\\nb.tif", "the name has a control character; rename the file")],
    )
    reasons = {file.name: file.reason for file in arrivals.unknown}
    assert set(reasons) == {"notes.txt", "D06_w1.tif", "A01_w9.tif", "a\\nb.tif"}
    assert "pattern" in reasons["notes.txt"]
    assert "D06 site 1 is not among" in reasons["D06_w1.tif"]


def test_the_names_of_records_say_all_that_planning_needs() -> None:
    keys = [
        "r/pins.json",
        "r/heartbeat.json",
        "r/illumination.json",
        "r/previews/A01-1-abc.json",
        "r/sites/A01-1-abc.json",
        "r/attempts/A01-1-abc-1.json",
        "r/attempts/A01-1-abc-2.json",
        "r/faults/ff.json",
        "r/decisions/missing-A01-2-DNA_2.json",
        "r/decisions/missing-A01-1002-DNA_2-z12.json",
        "r/publications/000003.json",
        "r/projected/000003-0a.json",
        "r/parts/A01-1-0.arrow",
        "r/published/000003-x/wells.parquet",
    ]
    listing = Listing(tuple(StoredObject(key, 1, "t", 5.0) for key in keys))
    records = read_names("r/", listing)
    assert records.has_pins
    assert records.has_field
    assert not read_names("r/", Listing(())).has_field
    assert records.previews == {"A01-1-abc"}
    assert records.heartbeat == 5.0
    assert records.manifests == {"A01-1-abc"}
    assert records.attempts == {"A01-1-abc": 2}
    assert records.faults == {"ff"}
    assert records.missing == {("A01", 2, "DNA_2")}
    assert records.missing_planes == {("A01", 1002, "DNA_2", 12)}
    assert records.publications == (3,)
    assert records.projected == {"000003-0a"}
    assert read_names("r/", listing, publications=Listing(())).last_publication == 0


STACKS = read_experiment(
    EXPERIMENT.replace("sites: 1}", "sites: 1, z: 3}")
    .replace("(?P<channel>w[0-9])", "(?P<channel>w[0-9])_z(?P<z>[0-9])")
    .replace("{name: v1", "{name: v1, projection: max")
    .encode()
)


def stack(well: str, *planes: int, codes: tuple[str, ...] = ("w1", "w2")) -> list[StoredObject]:
    return [stored(f"{well}_{code}_z{z}.tif") for code in codes for z in planes or (1, 2, 3)]


def test_a_site_is_ready_when_every_plane_of_every_channel_is_there() -> None:
    plan = plan_of(*stack("A01"), *stack("A02", 1, 3), experiment=STACKS)
    (site,) = plan.todo
    assert site.well == "A01"
    assert {name: [file.z for file in files] for name, files in site.stacks} == {"DNA": [1, 2, 3], "GFP": [1, 2, 3]}
    assert site.files["DNA"].name == "A01_w1_z1.tif"
    assert site.planes == (("DNA", 3, 3), ("GFP", 3, 3))
    waiting = next(site for site in plan.of("waiting") if site.well == "A02")
    assert (waiting.awaited, waiting.planes) == (("DNA", "GFP"), (("DNA", 3, 2), ("GFP", 3, 2)))


def test_planes_that_did_not_come_are_due_and_once_decided_the_others_are_projected() -> None:
    objects = [*stack("A01", 1, 3), *stack("A02", codes=("w1",))]
    due = plan_of(*objects, experiment=STACKS, now=161.0).due
    assert [gap for gap in due if gap.well == "A01"] == [Gap("A01", 1, "DNA", 2), Gap("A01", 1, "GFP", 2)]
    decided = {("A01", 1, "DNA", 2), ("A01", 1, "GFP", 2), *(("A02", 1, "GFP", z) for z in (1, 2, 3))}
    plan = plan_of(*objects, experiment=STACKS, records=Records(missing_planes=frozenset(decided)))
    first, second = plan.todo
    assert first.lacking == (("DNA", (2,)), ("GFP", (2,)))
    assert [file.z for file in dict(first.stacks)["DNA"]] == [1, 3]
    assert (second.missing, second.lacking) == (("GFP",), ())
    assert set(plan.decided()) == decided


def test_a_plane_that_comes_after_it_was_given_up_is_part_of_the_stack() -> None:
    records = Records(missing_planes=frozenset({("A01", 1, "DNA", 2)}))
    complete = plan_of(*stack("A01"), experiment=STACKS, records=records).todo[0]
    assert complete.lacking == ()
    assert complete.inputs == plan_of(*stack("A01"), experiment=STACKS).todo[0].inputs


def test_a_decision_on_a_channel_holds_for_all_its_planes() -> None:
    records = Records(missing=frozenset({("A01", 1, "GFP")}))
    site = plan_of(*stack("A01", codes=("w1",)), stored("A01_w2_z2.tif"), experiment=STACKS, records=records).todo[0]
    assert site.lacking == (("GFP", (1, 3)),)
    assert site.files["GFP"].name == "A01_w2_z2.tif"


def test_a_faulted_plane_is_awaited_and_a_second_file_of_a_plane_is_another() -> None:
    objects = [*stack("A01"), stored("x/A01_w1_z2.tif", modified=101.0)]
    site = plan_of(*objects, experiment=STACKS).todo[0]
    assert [file.name for file in dict(site.stacks)["DNA"]][1] == "x/A01_w1_z2.tif"
    assert [(name, file.name) for name, file in site.others] == [("DNA", "A01_w1_z2.tif")]
    faults = frozenset(fault_name(file) for file in dict(site.stacks)["DNA"])
    plan = plan_of(*objects, experiment=STACKS, records=Records(faults=faults))
    assert plan.sites[0].awaited == ("DNA",)
    assert plan.sites[0].planes[0] == ("DNA", 3, 3)


def test_the_order_of_planes_in_the_listing_does_not_matter() -> None:
    one, other = (plan_of(*objects, experiment=STACKS) for objects in (stack("A01"), stack("A01")[::-1]))
    assert one.todo == other.todo


def test_planes_that_the_instrument_did_not_take_are_due_at_once_with_its_words() -> None:
    arrivals = sort_arrivals(SCREEN, "raw/", [stored("A01_w1.tif")])
    arrivals = replace(arrivals, not_taken={("A01", 1, "GFP", 1): "laser off"})
    plan = plan_plate(SCREEN, arrivals, Records(), pins="pins", now=110.0)
    assert plan.due == (Gap("A01", 1, "GFP", 0, "laser off"),)
    assert plan_plate(SCREEN, arrivals, Records(missing=frozenset({("A01", 1, "GFP")})), pins="p", now=110.0).todo


def test_planes_that_nobody_told_are_given_up_one_by_one() -> None:
    untold = read_experiment(
        EXPERIMENT.replace("(?P<channel>w[0-9])", "(?P<channel>w[0-9])_z(?P<z>[0-9])")
        .replace("{name: v1", "{name: v1, projection: mean")
        .encode()
    )
    objects = stack("A01", 1, 3)
    arrived = plan_of(*objects, experiment=untold).todo[0]
    faults = frozenset(fault_name(file) for file in dict(arrived.stacks)["GFP"])
    due = plan_of(*objects, experiment=untold, records=Records(faults=faults), now=1e6).due
    gaps = [gap for gap in due if gap.well == "A01"]
    assert gaps == [Gap("A01", 1, "GFP", 1), Gap("A01", 1, "GFP", 3)]
    records = Records(faults=faults, missing_planes=frozenset(gap[:4] for gap in gaps))
    plan = plan_of(*objects, experiment=untold, records=records)
    assert plan.todo[0].missing == ("GFP",)
    assert list(plan.decided()) == [("A01", 1, "GFP", 1), ("A01", 1, "GFP", 3)]
