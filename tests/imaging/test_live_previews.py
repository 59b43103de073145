"""The live page of a plate that is corrected with its own field: previews first, then what replaces them."""

from __future__ import annotations

from pathlib import Path

from imaging.live_page import LivePage
from imaging.measure import measure_planes
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from tests.imaging.small_plate import EXPERIMENT, make_job
from tests.imaging.test_live_page import NOW, show, shown


def test_previews_are_shown_until_their_sites_are_measured_with_the_frozen_field(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT + "illumination: {source: plate, variant: mean}\n")
    page = LivePage(job)
    plan = plan_work(job)
    for site in plan.todo[:3]:
        process_site(site_task(job, site), measure_planes)
    assert show(page)
    assert [well["state"] for well in shown(job)["wells"]] == ["done", "done", "done", "waiting"]
    assert page.atlas.wells == {"A01", "A02", "B01"}
    process_site(site_task(job, plan.todo[3]), measure_planes)
    plan = plan_work(job)
    assert [site.state for site in plan.sites] == ["todo"] * 4  # the field is frozen: all are to be measured with it
    assert page.write(page.look(plan), now=NOW)
    assert [well["state"] for well in shown(job)["wells"]] == ["done"] * 4
    assert all(well["sites"][0]["counts"] == {} for well in shown(job)["wells"])
    for site in plan.todo:
        process_site(site_task(job, site), measure_planes)
    assert show(page)
    counts = [well["sites"][0]["counts"]["Nuclei"] for well in shown(job)["wells"]]
    assert all(counts)  # how many, a field of four like sites makes uncertain
