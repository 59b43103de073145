"""The short form of `make chaos`: one fresh seed on the real processes."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from tests.chaos.campaign import main
from tests.chaos.delivery import Delivery, plan_delivery
from tests.chaos.plates import draw_plates
from tests.chaos.processes import KINDS, LIGHT_KINDS
from tests.chaos.script import FAULT_KINDS, LONGEST_STOP_S, write_script
from tests.parts import require


def test_a_fresh_seed_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    require("gcc")
    status = main(["--light", "--hits", "3", "--longest-stop-s", "5"])
    printed = capsys.readouterr()
    assert status == 0, printed.err[-6000:]
    line = json.loads(printed.out.splitlines()[0])
    assert f"seed {line['seed']}\n" in printed.err
    assert line["differences"] == 0
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
