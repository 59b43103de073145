"""Faults of experiment.yaml: all at once, each with its place, what came and what to do."""

from __future__ import annotations

import datetime
import re

import pytest
from pydantic import ValidationError

from imaging.declared import Declared, explain_faults
from imaging.errors import ConfigurationError
from imaging.experiment import read_experiment

SOUND = r"""
name: screen
channels:
  - {name: DNA, code: "01", role: nucleus, full_scale: 4095}
  - {name: RNA, role: cell, full_scale: 65535}
layout:
  wells: 384
  imaged: [B02-C03, P24]
  sites: 2
  pixel_size_um: 0.5
files:
  pattern: '(?P<well>[A-P]\d\d)_s(?P<site>\d)_(?P<channel>\w+)\.tif'
recipe:
  name: v1
  nuclei: {diameter_um: [5, 20]}
  cells: {}
analysis:
  statistics: [Cells_Intensity_MeanIntensity_RNA]
  limits:
    - {metric: FocusScore, channel: DNA, fail_below: 0.1, warn_below: 0.2}
  outliers:
    - {metric: StdIntensity, channel: RNA, side: low, warn_z: 4, fail_z: 8, min_difference: 0.01}
    - {metric: nuclei_count, against: history, warn_z: 5}
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read_experiment(text.encode())
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert old in SOUND
    return SOUND.replace(old, new)


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    text = (
        SOUND.replace("role: nucleus", "role: nucelus")
        .replace("wells: 384", "wells: 100")
        .replace("(?P<well>", "(?P<wel>")
        .replace("name: v1", "name: v/1")
        .replace("metric: FocusScore, channel: DNA", "metric: Focus, channel: DAPI")
        .replace("against: history", "against: history, side: lo")
    )
    places = [problem.split(":")[0] for problem in problems(text)]
    assert places == [
        "channels[0].role",
        "layout.wells",
        "files.pattern",
        "files.pattern",
        "recipe.name",
        "recipe.nuclei",
        "analysis.limits[0].channel",
        "analysis.limits[0].metric",
        "analysis.outliers[1].side",
    ]


def test_a_fault_says_place_rule_what_came_and_what_may_be_meant() -> None:
    (first, *_) = problems(changed("role: cell", "role: cel"))
    assert first == "channels[1].role: must be nucleus, cell or other, got 'cel'; did you mean 'cell'? (line 5)"


FAULTS = [
    ("name: screen", "name: a/b", "name: the experiment name 'a/b' is refused"),
    ("name: screen", "name:", "name: is missing: the experiment's name"),
    ("name: screen", "name: screen\nchanels: []", "chanels: is not known; did you mean 'channels'?"),
    (
        "name: screen",
        "name: screen\nqqq: 1",
        "qqq: is not known; known here: name, channels, layout, files, plate_maps",
    ),
    ("name: screen", "name: screen\nname: other", "name: is given twice, first on line 2"),
    ("name: DNA", "name: 2DNA", "channels[0].name: must be a letter and then"),
    ("name: DNA", "nam: DNA", "channels[0].nam: is not known; did you mean 'name'?"),
    ("name: RNA", "name: dna", "channels[1].name: 'dna' is channel 1's name too"),
    ("name: RNA", "name: RNA, code: 01", "channels[1].code: '01' is channel 1's code too"),
    ("name: RNA", "name: RNA, code: ''", "channels[1].code: must not be empty"),
    ("role: cell", "role: nucleus", "channels[1].role: channel 1 is the nucleus channel already"),
    ("full_scale: 4095", "full_scale: 12 bits", "channels[0].full_scale: must be a whole number, got '12 bits'"),
    ("full_scale: 4095", "full_scale: 0", "channels[0].full_scale: must be at least 1, got '0'"),
    ("full_scale: 4095", "full_scale: 65536", "channels[0].full_scale: must be at most 65535, got '65536'"),
    (", full_scale: 4095", "", "channels[0].full_scale: is missing: count at which the camera clips"),
    ("role: cell,", "role: cell, color: red,", "channels[1].color: must be six hexadecimal digits"),
    ("wells: 384", "wells: 97", "layout.wells: must be one of 6, 12, 24, 48, 96, 384, 1536, got 97"),
    ("wells: 384", "wells: 96", "layout.imaged[1]: P24 lies outside a plate of 96 wells (A01-H12)"),
    ("[B02-C03, P24]", "zz", "layout.imaged: a well must be a row and a column"),
    ("P24", "24P", "layout.imaged[1]: a well must be a row and a column"),
    ("P24", "C03-B02", "layout.imaged[1]: a range of wells must go right and down"),
    ("[B02-C03, P24]", "[]", "layout.imaged: is an empty list"),
    ("sites: 2", "sites: 0", "layout.sites: must be from 1 to 1000, got '0'"),
    ("sites: 2", "sites: -3", "layout.sites: must be from 1 to 1000, got '-3'"),
    ("sites: 2", "sites: 99999999999", "layout.sites: must be from 1 to 1000"),
    ("sites: 2", "sites: [0, 1]", "layout.sites: must be from 1 to 1000"),
    ("sites: 2", "sites: two", "layout.sites: must be the number of sites per well"),
    ("pixel_size_um: 0.5", "pixel_size_um: 0", "layout.pixel_size_um: must be above 0, got '0'"),
    ("pixel_size_um: 0.5", "pixel_size_um: nan", "layout.pixel_size_um: must be a finite number"),
    ("  pixel_size_um: 0.5\n", "", "recipe.nuclei.diameter_um: needs layout.pixel_size_um"),
    ("(?P<well>[A-P]", "(?P<well>[A-P", "files.pattern: is no regular expression"),
    ("(?P<well>[A-P]", "(?P<well>[[A-P]", "files.pattern: may mean something else in a later Python (possible nested"),
    ("(?P<well>", "(?P<weel>", "files.pattern: the group 'weel' is not known; did you mean 'well'?"),
    ("(?P<well>", "(?P<row>", "files.pattern: needs the group (?P<well>...), or (?P<row>...) and"),
    ("(?P<well>", "(?P<well>" + 500 * "x", "files.pattern: must have at most 500 characters"),
    ("_s(", "_(?P<row>.)s(", "files.pattern: has the group well beside row and column"),
    ("(?P<channel>", "(?:", "files.pattern: needs the group (?P<channel>...), as there is more than one channel"),
    ("(?P<site>", "(?:", "files.pattern: needs the group (?P<site>...), as layout.sites is not 1"),
    ("[5, 20]", "[20, 5]", "recipe.nuclei.diameter_um: must be [smallest, largest], got [20, 5]; swap them"),
    ("[5, 20]", "[0, 5]", "recipe.nuclei.diameter_um: must be above 0, got 0"),
    ("[5, 20]", "15", "recipe.nuclei.diameter_um: must be a list of two numbers"),
    (
        "[5, 20]}",
        "[5, 20], smoothing_px: 1, smoothing_um: 1}",
        "recipe.nuclei: must have either smoothing_px or smoothing_um",
    ),
    ("[5, 20]}", "[5, 20], threshold_bounds: [0.5, 0.1]}", "must be [least, greatest] from 0 to 1, got [0.5, 0.1]"),
    (
        "[5, 20]}",
        "[5, 20], flood: fixpoint, method: cellprofiler}",
        "recipe.nuclei: must have method automatic where the flood is fixpoint, got cellprofiler",
    ),
    (
        "cells: {}",
        "preset: jump\n  cells: {flood: fixpoint}",
        "recipe.cells: must have method automatic where the flood is fixpoint, got cellprofiler",
    ),
    (
        "cells: {}",
        "preset: jump\n  cells: {flood: fixpoint, method: automatic}",
        "recipe: must have nuclei by the method automatic where the flood of cells is fixpoint, got cellprofiler",
    ),
    ("cells: {}", "preset: jumb", "recipe.preset: must be jump, got 'jumb'"),
    ("diameter_um: [5, 20]", "neck: 0.5", "recipe.nuclei: must have either diameter_px or diameter_um"),
    ("[5, 20]", "[5, 20], diameter_px: [1, 2]", "recipe.nuclei: must have either diameter_px or diameter_um"),
    ("[5, 20]", "[5, 20], drop_border: maybe", "recipe.nuclei.drop_border: must be yes or no, got 'maybe'"),
    ("[5, 20]", "[5, 20], channel: DAN", "recipe.nuclei.channel: 'DAN' is not among the channels; did you mean 'DNA'?"),
    ("[5, 20]", "[5, 20], channel: RNA", "recipe.nuclei.channel: is 'RNA', but 'DNA' has the role nucleus"),
    ("role: nucleus", "role: other", "recipe.nuclei: needs a channel"),
    ("cells: {}", "cells: {channel: ER}", "recipe.cells.channel: 'ER' is not among the channels"),
    ("cells: {}", "cells: 3", "recipe.cells: must be a mapping (name: value), got '3'"),
    ("nuclei: {diameter_um: [5, 20]}", "#", "recipe.cells: needs recipe.nuclei"),
    (
        "Cells_Intensity_MeanIntensity_RNA",
        "mitosis",
        "analysis.statistics[0]: 'mitosis' is no feature of this experiment",
    ),
    (
        "cells: {}",
        "cells: {}\n  features: {families: [AreaShape], moments: yes}",
        "'Cells_Intensity_MeanIntensity_RNA' is not measured by this recipe; add Intensity to recipe.features.families",
    ),
    ("MeanIntensity_RNA", "MeanIntensity_RNS", "did you mean 'Cells_Intensity_MeanIntensity_RNA'?"),
    (
        "[Cells_Intensity_MeanIntensity_RNA]",
        "Nuclei_AreaShape_Aria",
        "analysis.statistics: 'Nuclei_AreaShape_Aria' is no",
    ),
    (
        "  nuclei: {diameter_um: [5, 20]}\n  cells: {}\n",
        "",
        "analysis.statistics[0]: 'Cells_Intensity_MeanIntensity_RNA' needs objects",
    ),
    ("metric: FocusScore", "metric: Focus", "analysis.limits[0].metric: 'Focus' is no image metric; did you mean"),
    ("channel: DNA", "channel: DAPI", "analysis.limits[0].channel: 'DAPI' is not among the channels"),
    ("fail_below: 0.1", "fail_below: 0.3", "analysis.limits[0]: fails (0.3) before it warns (0.2) below"),
    ("fail_below: 0.1, warn_below: 0.2", "fail_above: 1, warn_above: 2", "fails (1) before it warns (2) above"),
    (", fail_below: 0.1, warn_below: 0.2", "", "analysis.limits[0]: sets no limit"),
    (
        "metric: StdIntensity",
        "metric: StdIntensty",
        "analysis.outliers[0].metric: 'StdIntensty' is neither an image metric nor a count; did you mean 'Std",
    ),
    ("metric: nuclei_count", "metric: nucleicount", "analysis.outliers[1].metric: 'nucleicount' is neither"),
    (
        "channel: RNA",
        "channel: RMA",
        "analysis.outliers[0].channel: 'RMA' is not among the channels; did you mean 'RNA'?",
    ),
    (
        "side: low",
        "side: lower",
        "analysis.outliers[0].side: must be low, high or both, got 'lower'; did you mean 'low'?",
    ),
    ("against: history", "against: plates", "analysis.outliers[1].against: must be plate or history, got 'plates'"),
    ("warn_z: 5", "warn_z: 0", "analysis.outliers[1].warn_z: must be above 0, got '0'"),
    ("fail_z: 8", "fail_z: eight", "analysis.outliers[0].fail_z: must be a number, got 'eight'"),
    ("fail_z: 8", "fail_z: 3", "analysis.outliers[0]: fails (3) before it warns (4); swap fail_z and warn_z"),
    (", warn_z: 5", "", "analysis.outliers[1]: sets no limit; give warn_z or fail_z"),
    ("min_difference: 0.01", "min_difference: -1", "analysis.outliers[0].min_difference: must be at least 0, got '-1'"),
    (
        "min_difference",
        "min_diffrence",
        "analysis.outliers[0].min_diffrence: is not known; did you mean 'min_difference'?",
    ),
    ("metric: StdIntensity, ", "", "analysis.outliers[0].metric: is missing: an image metric such as PowerLogLogSlope"),
    (
        "metric: nuclei_count",
        "metric: nuclei_count, channel: DNA",
        "analysis.outliers[1].channel: nuclei_count is counted per site, not per channel",
    ),
    (
        "  nuclei: {diameter_um: [5, 20]}\n  cells: {}\n",
        "",
        "analysis.outliers[1].metric: 'nuclei_count' needs objects; give recipe.nuclei",
    ),
    (
        "{metric: nuclei_count, against: history",
        "{metric: StdIntensity, channel: RNA, against: plate, side: low",
        "analysis.outliers[1]: is the same rule as analysis.outliers[0]; keep one",
    ),
    ("name: screen", "name: screen\npatience: -5 min", "patience: must be seconds or a time such as '30 min'"),
    ("name: screen", "name: screen\nimages: tiff", "images: must be zarr or none, got 'tiff'"),
    ("name: screen", "name: screen\nplates: [P1, P2, P1]", "plates[2]: 'P1' is listed twice"),
    ("name: screen", "name: screen\nplates: [a/b]", "plates: the plate name 'a/b' is refused"),
    ("name: screen", "name: screen\nplate_maps: [{file: /a.csv}]", "plate_maps[0].file: must be a path beside"),
    ("name: screen", "name: screen\nplate_maps: [{file: ../a.csv}]", "plate_maps[0].file: must be a path beside"),
    (
        "name: screen",
        "name: screen\nplate_maps: [{file: a.csv, controls: {negcn: x}}]",
        "plate_maps[0].controls.negcn: is not known; did you mean 'negcon'?",
    ),
]


def test_cytoplasm_features_need_cells() -> None:
    text = changed("  cells: {}\n", "").replace("Cells_Intensity", "Cytoplasm_Intensity")
    assert "needs cells; give recipe.cells" in problems(text)[0]


@pytest.mark.parametrize(("old", "new", "fault"), FAULTS, ids=[fault[:50] for *_, fault in FAULTS])
def test_a_fault_is_found_and_named(old: str, new: str, fault: str) -> None:
    found = problems(changed(old, new))
    assert any(fault in problem for problem in found), found


@pytest.mark.parametrize(("old", "new", "fault"), FAULTS, ids=[fault[:50] for *_, fault in FAULTS])
def test_no_fault_is_told_in_the_words_of_a_library(old: str, new: str, fault: str) -> None:
    for problem in problems(changed(old, new)):
        assert not re.search(r"[Ii]nput should|validation error|default factory|Pydantic", problem)
        assert re.search(r"\(line \d+\)$", problem)


def test_channels_that_are_no_list_are_one_fault() -> None:
    text = "name: a\nchannels: DNA\nlayout: {wells: 6, sites: 1}\nfiles: {pattern: '(?P<well>..)'}"
    assert problems(text) == ("channels: must be a list (- one entry per line, or [a, b]), got 'DNA' (line 2)",)


WRONG_SHAPES = """\
name: [a]
channels: [DNA, {name: [b], full_scale: 1}]
layout: 96
files: [x]
recipe: v1
analysis: {statistics: {a: 1}, limits: [3], outliers: [3, {metric: [a], side: {b: 1}, warn_z: 1}]}
plates: {a: 1}
"""


def test_every_part_may_have_the_wrong_shape_at_once() -> None:
    assert [problem.split(", got")[0] for problem in problems(WRONG_SHAPES)] == [
        "name: must be a text",
        "channels[0]: must be a mapping (name: value)",
        "channels[1].name: must be a text",
        "layout: must be a mapping (name: value)",
        "files: must be a mapping (name: value)",
        "recipe: must be a mapping (name: value)",
        "analysis.statistics: must be a list (- one entry per line, or [a, b])",
        "analysis.limits[0]: must be a mapping (name: value)",
        "analysis.outliers[0]: must be a mapping (name: value)",
        "analysis.outliers[1].metric: must be a text",
        "analysis.outliers[1].side: must be low, high or both",
        "plates: must be a list (- one entry per line, or [a, b])",
    ]


def test_the_parts_of_a_part_may_have_the_wrong_shape() -> None:
    text = "name: a\nchannels: [{name: b, full_scale: 1}]\nlayout: {wells: 6, sites: 1, imaged: [[A01]]}\n"
    found = problems(text + "files: {pattern: [x]}\nrecipe: {nuclei: [1]}\nanalysis: []\nplate_maps: {file: a.csv}\n")
    assert [problem.split(":")[0] for problem in found] == [
        "layout.imaged[0]",
        "files.pattern",
        "recipe.nuclei",
        "analysis",
        "plate_maps",
    ]


def test_a_fault_of_a_kind_without_words_here_keeps_the_library_s() -> None:
    class Dated(Declared):
        day: datetime.date

    with pytest.raises(ValidationError) as caught:
        Dated.model_validate({"day": "soon"})
    ((place, sentence),) = explain_faults(caught.value, Dated)
    assert place == ("day",)
    assert sentence.endswith(", got 'soon'")


def test_an_empty_list_of_channels_is_a_fault() -> None:
    text = "name: a\nchannels: []\nlayout: {wells: 6, sites: 1}\nfiles: {pattern: '(?P<well>..)'}"
    assert problems(text) == ("channels: must not be empty; list the channels (line 2)",)


@pytest.mark.parametrize(
    ("data", "part"),
    [(b"", "the file is empty"), (b"- a\n", "the file must be a mapping"), (b"a: [", "line 1, column")],
)
def test_a_file_that_is_no_mapping_is_refused(data: bytes, part: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(part)) as caught:
        read_experiment(data, place="lab.yaml")
    assert caught.value.message == "lab.yaml has 1 fault"


def test_a_threshold_of_a_suspicion_is_a_number_or_off() -> None:
    (fault,) = problems(changed("analysis:", "analysis:\n  suspicions: {same_look: maybe}"))
    assert fault.startswith("analysis.suspicions.same_look: must be a number, got 'maybe'")
    (fault,) = problems(changed("analysis:", "analysis:\n  suspicions: {same_looks: 0.1}"))
    assert "did you mean 'same_look'?" in fault


def test_a_rule_of_acquisitions_is_one_of_three() -> None:
    (fault,) = problems(SOUND + "current_acquisition: newest\n")
    assert fault.startswith("current_acquisition: must be newest-complete, first or by-hand, got 'newest'")


def test_a_barcode_pattern_without_the_group_or_that_is_none_is_refused() -> None:
    (no_group,) = problems(SOUND + "barcode: '[^_]+'\n")
    assert no_group.startswith("barcode: must have a group barcode, such as '^(?P<barcode>[^_]+)__', got '[^_]+'")
    (no_pattern,) = problems(SOUND + "barcode: '(?P<barcode>'\n")
    assert no_pattern.startswith("barcode: is no regular expression (")
    (doubtful,) = problems(SOUND + "barcode: '(?P<barcode>[[a])'\n")
    assert doubtful.startswith("barcode: may mean something else in a later Python (")
    (endless,) = problems(SOUND + "barcode: '(?P<barcode>a{99999999999})'\n")
    assert endless.startswith("barcode: is no regular expression (")
