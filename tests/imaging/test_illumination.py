"""The section ``illumination`` of experiment.yaml, and what a site's values depend on because of it."""

from __future__ import annotations

import pytest

from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.illumination import AWAITED, is_preview, pinned_values
from imaging.illumination_estimate import ChannelEstimate, PlateEstimate
from imaging.illumination_rows import judge_illumination
from tests.imaging.small_plate import EXPERIMENT


def declare(illumination: str, rest: str = "") -> Experiment:
    return read_experiment(f"{EXPERIMENT}illumination: {illumination}\n{rest}".encode())


def faults_of(illumination: str, rest: str = "") -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        declare(illumination, rest)
    return [problem.rpartition(" (line ")[0] for problem in caught.value.problems]


def test_without_the_section_nothing_is_corrected_and_nothing_else_changes() -> None:
    plain = read_experiment(EXPERIMENT.encode())
    assert plain.illumination.source == "none"
    assert "illumination" not in plain.pixel_part()
    assert "illumination" not in plain.analysis_part()
    assert declare("none").recipe_id == plain.recipe_id
    assert declare("{source: none, instrument: Opera 2}").recipe_id == plain.recipe_id


def test_a_word_is_short_for_its_source_and_every_setting_that_moves_values_names_the_recipe() -> None:
    assert declare("plate").illumination == declare("{source: plate}").illumination
    recipes = {
        declare(text).recipe_id
        for text in (
            "plate",
            "previous",
            "{source: plate, variant: mean}",
            "{source: previous, min_sites: 20}",
            "{source: previous, max_error_percent: 2}",
            "{source: previous, instrument: Opera 2}",
            "{source: file, file: fields.npz}",
            "{source: file, file: Index.xml}",
            "{source: file, file: Index.xml, profile: background}",
            "{source: file, files: {DNA: dna.tif}}",
        )
    }
    assert len(recipes) == 10


def test_the_limit_of_drift_moves_no_value_and_is_part_of_the_analysis() -> None:
    strict = declare("{source: plate, warn_drift_percent: 2}")
    assert strict.recipe_id == declare("plate").recipe_id
    assert strict.analysis_part()["illumination"] == {"warn_drift_percent": 2}


@pytest.mark.parametrize(
    ("illumination", "faults"),
    [
        ("plat", ["illumination.source: must be none, file, previous or plate, got 'plat'; did you mean 'plate'?"]),
        ("[plate]", ["illumination: must be a mapping (name: value), got ['plate']"]),
        ("{source: file}", ["illumination: needs file, or files with one file for each channel"]),
        (
            "{source: plate, file: a.npz, min_sites: 1}",
            [
                "illumination.file: is not used with source plate; leave it out, or use source file",
                "illumination.min_sites: must be at least 2, got '1'",
            ],
        ),
        (
            "{source: file, file: a.npz, files: {GPF: ../a.tif, GFP: /a.csv, DNA: a.csv}}",
            [
                "illumination.files: stands beside file; keep one of the two",
                "illumination.files.GPF: is not among the channels; did you mean 'GFP'?",
                "illumination.files.GPF: must name a file beside experiment.yaml or in a folder there, got '../a.tif'",
                "illumination.files.GFP: must name a file beside experiment.yaml or in a folder there, got '/a.csv'",
                "illumination.files.DNA: must end with .npz, .xml, .npy, .tif, .tiff, got 'a.csv'",
            ],
        ),
        ("{source: file, file: a.tif}", ["illumination.file: must end with .npz, .xml, got 'a.tif'"]),
        ("{source: file, files: {}}", ["illumination.files: is empty; give a file for each channel, such as "]),
        ("{source: previous, instrument: a/b}", ["illumination.instrument: the instrument name 'a/b' is refused"]),
    ],
)
def test_every_fault_of_the_section_is_told_with_its_place(illumination: str, faults: list[str]) -> None:
    found = faults_of(illumination)
    assert len(found) == len(faults)
    assert all(text.startswith(fault) for text, fault in zip(found, faults, strict=True))


def test_fields_of_plates_need_thumbnails() -> None:
    none = "images: none\n"
    assert faults_of("plate", none) == [
        "illumination: needs thumbnails of the plate, and images: none keeps none; use images: zarr"
    ]
    assert "no plate of this experiment gives one" in faults_of("previous", none)[0]
    assert declare("{source: previous, instrument: Opera 2}", none)
    assert declare("{source: file, file: a.npz}", none)


def test_a_sites_values_depend_on_the_field_by_its_content() -> None:
    plain = {"recipe": "r", "pixels": {}, "illumination": None}
    assert pinned_values(plain, None) == plain
    pinned = plain | {"illumination": {"source": "plate"}}
    assert pinned_values(pinned, "abc")["illumination"] == {"source": "plate", "field": "abc"}
    assert pinned["illumination"] == {"source": "plate"}


def test_only_a_plate_that_awaits_its_own_field_is_previewed() -> None:
    def of(source: str, field: str | None) -> bool:
        return is_preview(pinned_values({"illumination": {"source": source}}, field))

    assert of("plate", AWAITED)
    assert not of("plate", "abc")
    assert not of("plate", None)
    assert not of("file", AWAITED)
    assert not is_preview({"illumination": None})


def row(**changes: object) -> dict[str, object]:
    common = {"channel": "DNA", "variant": "robust", "frozen_digest": "d", "frozen_from": "file a.npz"}
    return common | {"drift_percent": 7.0, "error_percent": 0.5} | changes


def test_drift_is_told_only_where_it_exceeds_the_limit_by_more_than_it_is_known() -> None:
    section = declare("{source: file, file: a.npz}").illumination
    assert [item.sentence for item in judge_illumination([row()], {}, section)] == [
        "DNA: the plate's own field of illumination differs from the frozen one (file a.npz) by 7 % (limit 5 %)"
    ]
    quiet = (
        {"drift_percent": 5.4},
        {"error_percent": 2.1},
        {"error_percent": None},
        {"drift_percent": None},
        {"variant": "mean"},
        {"frozen_digest": None},
    )
    assert [judge_illumination([row(**changes)], {}, section) for changes in quiet] == [[]] * len(quiet)


def test_an_own_field_is_told_where_it_is_hardly_known() -> None:
    section = declare("plate").illumination
    calm = {"drift_percent": 0.0}
    found = judge_illumination([row(**calm, error_percent=1.5), row(**calm, error_percent=None)], {}, section)
    assert ["uncertain by 1.5 % (limit 1 %)" in found[0].what, "not known" in found[1].what] == [True, True]
    assert judge_illumination([row(**calm, error_percent=0.9)], {}, section) == []


def test_a_channel_without_a_field_tells_why_unless_none_was_declared() -> None:
    frozen = {"channels": {"DNA": {"reason": "nothing was found"}, "GFP": {}}}
    found = judge_illumination([], frozen, declare("previous").illumination)
    assert [(item.level, item.sentence) for item in found] == [
        ("warn", "DNA: the channel is not corrected for illumination: nothing was found")
    ]


def test_an_estimate_without_channels_gives_no_field() -> None:
    assert PlateEstimate().field_of("robust") is None
    import numpy as np

    known = ChannelEstimate(np.ones((2, 2), np.float32), 3, None)
    estimate = PlateEstimate(2, 2, {("mean", "DNA"): known})
    assert estimate.field_of("robust") is None
    assert list(estimate.field_of("mean").fields) == ["DNA"]
