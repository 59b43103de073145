"""What a live page says of costs and budgets."""

from __future__ import annotations

from pathlib import Path

from imaging.costs import Spending
from imaging.live_page import LivePage
from imaging.measure import measure_planes
from imaging.projection import page_folder
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from tests.imaging.small_page import read_live
from tests.imaging.small_plate import make_job


def test_a_live_page_says_what_the_plate_cost_and_why_it_does_not_go_on(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    for site in plan_work(job).todo[:2]:
        process_site(site_task(job, site), measure_planes)
    page = LivePage(job)
    assert page.write(page.look(job.survey()), spent=Spending(2, 90.0, 0.5, 0), notice="raise the budget")
    found = read_live(job.store.read(f"{page_folder(job)}live.js"))
    assert found["costs"] == [
        {"label": "Machine time", "text": "1 min 30 s", "more": ""},
        {"label": "Cost", "text": "0.50 USD", "more": "of about 1.00 USD"},
    ]
    assert found["notice"] == "Raise the budget"
    assert page.write(page.look(job.survey()))
    found = read_live(job.store.read(f"{page_folder(job)}live.js"))
    assert (found["costs"], found["notice"]) == ([], "")
