"""Which acquisition of a barcode is current: by rule, by hand, recorded once and shown alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imaging.acquisitions import (
    Acquisition,
    ByHand,
    choose_acquisition,
    choose_by_hand,
    decide_acquisition,
    decision_key,
    find_acquisitions,
    list_decisions,
    return_to_rule,
)
from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.store import Store
from tests.imaging import small_screen
from tests.imaging.small_screen import ask, publish, record, values

BARCODE = b"barcode: '^(?P<barcode>[^_]+)'\n"
EARLY, LATE = "P1_a", "P1_b"


def declared(rule: str = "") -> Experiment:
    text = small_screen.YAML + BARCODE + (f"current_acquisition: {rule}\n".encode() if rule else b"")
    return read_experiment(text)


def acquire(store: Store, plate: str, at: float | None, *, number: int = 1, status: str = "complete") -> None:
    """Publish an acquisition of P1 whose first image came at a time."""
    record(store, number, plate=plate, run=f"run {plate}", status=status, barcode="P1", first_image_at=at)


def decisions(store: Store) -> list[dict[str, Any]]:
    listed = list_decisions(store, "screen").get("P1", [])
    return [json.loads(store.read(decision_key("screen", "P1", number))) for number in listed]


# The rule


FIRST, SECOND = Acquisition("a", "complete", 10.0), Acquisition("b", "complete", 20.0)
PARTIAL = Acquisition("c", "with-missing", 30.0)


@pytest.mark.parametrize(
    ("rule", "found", "chosen", "why"),
    [
        (None, [SECOND, FIRST, PARTIAL], "b", "it was imaged last of those that are complete (2 of 3 acquisitions)"),
        ("newest-complete", [FIRST, SECOND], "b", "it was imaged last of those that are complete (all of 2 acq"),
        ("newest-complete", [PARTIAL, Acquisition("d", "with-missing", 40.0)], "d", "none of which is complete"),
        ("first", [PARTIAL, SECOND, FIRST], "a", "it was imaged first of 3 acquisitions"),
        ("by-hand", [SECOND, FIRST], "a", "nobody has chosen one of 2 acquisitions yet, so the one imaged first"),
        ("first", [Acquisition("a", "withdrawn", 1.0), SECOND], "b", "it is the only acquisition"),
    ],
)
def test_the_rule_chooses(rule: str | None, found: list[Acquisition], chosen: str, why: str) -> None:
    choice = choose_acquisition(found, rule)
    assert choice is not None
    assert choice.plate == chosen
    assert why in choice.reason
    assert choice.decided_by == f"the rule {rule or 'newest-complete'}"


def test_acquisitions_of_one_moment_are_told_apart_by_name() -> None:
    twins = [Acquisition("b", "complete", 1.0), Acquisition("a", "complete", 1.0)]
    assert choose_acquisition(twins, "first") == choose_acquisition(twins[::-1], "first")


def test_a_person_s_choice_stands_until_it_is_withdrawn() -> None:
    hand = ByHand("a", "Ada", "the plate dried out")
    choice = choose_acquisition([FIRST, SECOND], None, hand)
    assert choice is not None
    assert (choice.plate, choice.decided_by, choice.reason) == ("a", "Ada", "the plate dried out")
    withdrawn = choose_acquisition([Acquisition("a", "withdrawn", 10.0), SECOND], None, hand)
    assert withdrawn is not None
    assert withdrawn.plate == "b"
    assert withdrawn.reason.startswith("a, chosen by Ada, is withdrawn or gone; ")


def test_where_everything_is_withdrawn_nothing_is_chosen() -> None:
    assert choose_acquisition([Acquisition("a", "withdrawn", 1.0)], "first") is None


# The record


def test_one_acquisition_needs_no_decision(store: Store) -> None:
    acquire(store, EARLY, 10.0)
    acquire(store, "P2_a", 10.0)
    assert decide_acquisition(store, declared(), EARLY) is None
    assert decisions(store) == []


def test_a_decision_is_recorded_once_and_a_later_one_under_the_next_number(store: Store) -> None:
    acquire(store, EARLY, 10.0)
    acquire(store, LATE, 20.0, status="with-missing")
    for plate in (LATE, EARLY, LATE):
        decide_acquisition(store, declared("newest-complete"), plate)
    (only,) = decisions(store)
    assert (only["plate"], only["number"], only["decided_by"]) == (EARLY, 1, "the rule newest-complete")
    acquire(store, LATE, 20.0, number=2)
    decided = decide_acquisition(store, declared("newest-complete"), EARLY)
    assert decided is not None
    assert [item["plate"] for item in decisions(store)] == [EARLY, LATE]
    assert decisions(store)[0] == only


def test_the_first_image_decides_and_not_the_order_of_publication(store: Store) -> None:
    acquire(store, EARLY, 20.0)
    acquire(store, LATE, 10.0)
    decided = decide_acquisition(store, declared("first"), EARLY)
    assert decided is not None
    assert decided["plate"] == LATE


def test_a_record_of_older_software_counts_from_its_publication(store: Store) -> None:
    acquire(store, EARLY, None)  # published on 3 February 2026
    acquire(store, LATE, 10.0)
    assert [item.first_image_at for item in find_acquisitions(store, declared(), "P1")] == [1770094800.0, 10.0]


def test_whoever_loses_the_number_looks_again(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look of one and its record, another acquisition is published and decided upon."""
    acquire(folder_store, EARLY, 10.0)
    acquire(folder_store, LATE, 20.0)
    create, is_first = folder_store.create, [True]

    def overtaken(key: str, data: bytes) -> bool:
        if is_first and is_first.pop():
            acquire(folder_store, "P1_c", 30.0)
            decide_acquisition(folder_store, declared(), "P1_c")
        return create(key, data)

    monkeypatch.setattr(folder_store, "create", overtaken)
    decided = decide_acquisition(folder_store, declared(), EARLY)
    assert decided is not None
    assert decided["plate"] == "P1_c"
    assert [item["plate"] for item in decisions(folder_store)] == ["P1_c"]


def test_experimental_results_make_no_plate_the_current_acquisition(store: Store) -> None:
    """Views show none of them: a barcode whose acquisition has nothing else would be shown nowhere."""
    acquire(store, EARLY, 10.0)
    trial = "v1+experimental-11112222"
    record(store, 1, plate=LATE, run="trial", recipe=trial, barcode="P1", first_image_at=20.0)
    assert [item.plate for item in find_acquisitions(store, declared(), "P1")] == [EARLY]
    acquire(store, LATE, 20.0, status="with-missing")
    assert [item.status for item in find_acquisitions(store, declared(), "P1")] == ["complete", "with-missing"]


def test_a_damaged_record_of_another_plate_holds_up_nobody(store: Store) -> None:
    acquire(store, EARLY, 10.0)
    acquire(store, LATE, 20.0)
    store.write(f"{small_screen.results(LATE)}publications/000001.json", b"{")
    assert decide_acquisition(store, declared(), EARLY) is None


def test_a_person_chooses_and_gives_the_choice_back(store: Store) -> None:
    acquire(store, EARLY, 10.0)
    acquire(store, LATE, 20.0)
    decide_acquisition(store, declared(), EARLY)
    chosen = choose_by_hand(store, declared(), EARLY, by="Ada", because="LATE dried out")
    assert (chosen["plate"], chosen["decided_by"], chosen["reason"]) == (EARLY, "Ada", "LATE dried out")
    acquire(store, "P1_c", 30.0)
    kept = decide_acquisition(store, declared(), "P1_c")
    assert kept is not None
    assert (kept["plate"], kept["number"], len(kept["acquisitions"])) == (EARLY, 3, 3)
    back = return_to_rule(store, declared(), EARLY)
    assert back is not None
    assert (back["plate"], back["number"]) == ("P1_c", 4)


def test_what_has_no_publication_cannot_be_chosen(store: Store) -> None:
    acquire(store, EARLY, 10.0)
    acquire(store, LATE, 20.0, status="withdrawn")
    with pytest.raises(ConfigurationError, match=f"no publication that counts; published acquisitions of P1: {EARLY}"):
        choose_by_hand(store, declared(), LATE, by="Ada", because="it is better")
    with pytest.raises(ConfigurationError, match="say why"):
        choose_by_hand(store, declared(), EARLY, by="Ada", because=" ")


# What is shown


def show(store: Store, rule: str = "") -> None:
    """Publish two acquisitions of P1, and P2, and decide."""
    for number, plate in enumerate((EARLY, LATE, "P2_a"), start=1):
        small_screen.publish(store, plate=plate, run=f"run {plate}", barcode=plate[:2], first_image_at=10.0 * number)
        decide_acquisition(store, declared(rule), plate)


def test_views_show_the_current_acquisition_and_all_can_be_asked_for(store: Store) -> None:
    show(store, "first")
    assert values(store, "SELECT DISTINCT plate FROM wells ORDER BY plate") == [EARLY, "P2_a"]
    assert values(store, "SELECT plate FROM plate_overview ORDER BY plate") == [EARLY, "P2_a"]
    hidden = """
        SELECT COUNT(*) FROM wells_all INNER JOIN plate_runs USING (experiment, plate, recipe, run)
        WHERE is_current AND NOT is_current_acquisition
    """
    assert values(store, hidden) == [6]


def test_the_view_of_acquisitions_says_who_decided_what_and_why(store: Store) -> None:
    show(store)
    rows = ask(store, "SELECT * EXCEPT (decided_at, warning) FROM acquisitions ORDER BY plate")
    assert [(row["plate"], row["barcode"], row["is_current"], row["acquisitions"]) for row in rows] == [
        (EARLY, "P1", False, 2),
        (LATE, "P1", True, 2),
        ("P2_a", "P2", True, 1),
    ]
    assert rows[1]["reason"] == "it was imaged last of those that are complete (all of 2 acquisitions)"
    assert rows[1]["decided_by"] == "the rule newest-complete"
    assert (rows[2]["reason"], rows[2]["decided_by"]) == ("it is the only acquisition", None)
    assert rows[0]["first_image_at"].timestamp() == 10.0


def test_two_acquisitions_without_a_rule_are_a_warning(store: Store) -> None:
    show(store)
    (warning,) = values(store, f"SELECT warning FROM acquisitions WHERE plate = '{LATE}'")
    assert warning == (
        "2 acquisitions have the barcode P1 and experiment.yaml has no current_acquisition: the newest complete one "
        "is shown"
    )


def test_a_declared_rule_is_no_warning_unless_it_waits_for_a_person(store: Store) -> None:
    show(store, "first")
    assert values(store, "SELECT warning FROM acquisitions WHERE warning IS NOT NULL") == []
    decide_acquisition(store, declared("by-hand"), EARLY)
    assert set(values(store, "SELECT warning FROM acquisitions WHERE barcode = 'P1'")) == {
        "nobody has chosen an acquisition of P1 yet: platestream choose"
    }


def test_a_decision_about_a_barcode_that_a_plate_no_longer_has_hides_nothing(store: Store) -> None:
    show(store, "first")
    publish(store, 2, plate=LATE, run="again", barcode=LATE, first_image_at=20.0)  # the pattern was mended
    assert LATE in values(store, "SELECT DISTINCT plate FROM wells")
