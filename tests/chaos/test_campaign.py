"""The short form of `make chaos`: one fresh seed on the real processes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from flows.supervise import Supervisor
from imaging.store import FolderStore
from tests.chaos.campaign import Result, main, strike
from tests.chaos.delivery import Delivery, plan_delivery
from tests.chaos.faults import Faults
from tests.chaos.faults.planted import PLANTS
from tests.chaos.onlooker import Onlooker
from tests.chaos.plates import draw_plates
from tests.chaos.processes import KINDS, LIGHT_KINDS, Processes
from tests.chaos.script import FAULT_KINDS, LONGEST_STOP_S, Troubles, write_script
from tests.following import follow
from tests.parts import require


def test_a_fresh_seed_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    require("gcc")
    status = main(["--light", "--hits", "3", "--longest-stop-s", "5"])
    printed = capsys.readouterr()
    assert status == 0, printed.err[-6000:]
    line = json.loads(printed.out.splitlines()[0])
    assert f"seed {line['seed']}\n" in printed.err
    assert (line["differences"], line["missed"]) == (0, 0)
    assert sum(line["killed"].values()) + sum(line["stopped"].values()) == 3


def test_a_seed_decides_everything_again() -> None:
    def delivered(seed: int) -> Delivery:
        return replace(plan_delivery(draw_plates(), random.Random(seed), print), upload=print)

    assert write_script(5, hits=9, faults=FAULT_KINDS) == write_script(5, hits=9, faults=FAULT_KINDS)
    assert delivered(5) == delivered(5) != delivered(6)
    scripts = [write_script(seed, hits=9, faults=FAULT_KINDS) for seed in range(60)]
    assert len(set(scripts)) == 60
    assert {script.in_bucket for script in scripts} == {True, False}
    assert all(("network" in script.faults) == script.in_bucket != ("disk" in script.faults) for script in scripts)


def test_a_failure_of_the_suite_costs_no_other_seed_and_is_told_from_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(result: Result) -> None:
        result.broken += ["W1 is not published"] if "a bug" in result.script.planted else []
        raise ValueError("rows of cells must have different keys")

    monkeypatch.setattr("tests.chaos.campaign.run_script", run)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["--faults", "", "--seeds", "2"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()[:2]]
    said = "the suite itself failed: ValueError: rows of cells must have different keys"
    assert [(line["fault"], line["broken"]) for line in lines] == [(said, [])] * 2
    monkeypatch.setitem(PLANTS, "a bug", {})
    assert main(["--faults", "", "--plant", "a bug"]) == 1
    assert len(list(tmp_path.iterdir())) == 3, "what is broken keeps its folder"


def test_a_machine_without_a_compiler_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.chaos.campaign.find_part", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main(["--light"])
    assert ended.value.code == 2
    assert "faults need gcc: apt-get install gcc, or leave them out by --faults ''" in capsys.readouterr().err


def test_where_nothing_comes_nothing_is_hit_and_that_is_said(tmp_path: Path) -> None:
    delivery = replace(plan_delivery(draw_plates(), random.Random(1), print), plates=[], parcels=[], happened=["late"])
    onlooker = Onlooker(FolderStore(tmp_path / "data"), delivery, 0.0)
    script = write_script(1, hits=2)
    with Faults(tmp_path / "faults") as faults, Supervisor([]) as supervisor:
        processes = Processes(supervisor, tmp_path, tmp_path / "none.log")
        missed = strike(script, onlooker, processes, Troubles(faults, [], 2), random.Random(1))
    assert missed == [f"no {kind} was hit: none had a site in flight" for kind, _ in script.hits]


def test_images_trickle_in_while_all_that_came_is_worked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.onlooker.SUPPLY_S", 0.0)
    monkeypatch.setattr("tests.chaos.onlooker.LONGEST_SUPPLY_S", 3600.0)
    store = FolderStore(tmp_path / "data")
    delivery = plan_delivery(draw_plates(), random.Random(1), store.write)
    delivery.declare()
    onlooker = Onlooker(store, delivery, 0.0)
    left = [len(delivery.parcels) for _ in range(40) if onlooker.supply(1)]
    assert left[0] - left[1] == 1
    assert onlooker.has_work, "a site has all its images, and nobody measures it"
    assert left[-1] == left[-2] > 0, "it is waited for"
    with monkeypatch.context() as patch:
        patch.setattr("tests.chaos.onlooker.LONGEST_SUPPLY_S", 0.0)
        assert onlooker.supply(1)
    assert len(delivery.parcels) == left[-1] - 1, "for long, perhaps because nobody looks at its plate now"
    for job in onlooker.jobs().values():
        follow(job)
    assert onlooker.supply(3)
    assert len(delivery.parcels) == left[-1] - 4


@pytest.mark.parametrize(("is_light", "kinds"), [(False, KINDS), (True, LIGHT_KINDS)])
def test_every_kind_of_process_is_hit_before_one_is_hit_again(is_light: bool, kinds: tuple[str, ...]) -> None:
    hits = write_script(3, hits=2 * len(kinds), faults=(), is_light=is_light).hits
    assert sorted(kind for kind, _ in hits[: len(kinds)]) == sorted(kinds)
    stops = [stop_s for seed in range(40) for _, stop_s in write_script(seed, hits=6, faults=()).hits]
    assert 0 < sum(stop_s > 0 for stop_s in stops) < len(stops) / 2
    assert max(stops) <= LONGEST_STOP_S


def test_a_delivery_has_all_accidents() -> None:
    sent: list[str] = []
    plates = draw_plates()
    delivery = plan_delivery(plates, random.Random(2), lambda key, data: sent.append(key))
    images = {plate.folder + name: data for plate in plates for name, data in plate.images.values()}
    delivery.send(len(delivery.parcels))
    twice = len(sent) - len(set(sent)) + sum("/again/" in key for key in sent)
    never = len(delivery.never)
    assert twice == round(0.02 * len(images)) >= 2
    assert len(delivery.replacements) == round(0.01 * len(images)) >= 1
    assert never == round(0.01 * len(images)) >= 1
    assert sent[-1].endswith("S1.HTD"), "the manifest comes last"
    assert len(set(sent) & set(images)) == len(images) - never - 1
    assert delivery.late[1].key not in sent
    assert len(set(images.values())) == len(images)
