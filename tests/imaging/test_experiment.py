"""experiment.yaml: what is read, and every fault with its place."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from imaging.experiment import Experiment, read_experiment
from imaging.recipes import NUMBERS_VERSION, Nuclei, Recipe
from kernels.segmentation import segment_cells, segment_nuclei

BBBC013 = Path(__file__).parents[1] / "data" / "bbbc013"

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
  statistics: [Nuclei_Intensity_MeanIntensity_RNA]
  limits:
    - {metric: FocusScore, channel: DNA, fail_below: 0.1, warn_below: 0.2}
"""


def read(text: str = SOUND) -> Experiment:
    return read_experiment(text.encode())


def changed(old: str, new: str) -> str:
    assert old in SOUND
    return SOUND.replace(old, new)


# What is read


def test_a_sound_file_is_read() -> None:
    experiment = read()
    assert experiment.name == "screen"
    assert [channel.name for channel in experiment.channels] == ["DNA", "RNA"]
    assert experiment.layout.pixel_size_um == 0.5
    assert experiment.analysis.limits[0].metric == "FocusScore"
    assert experiment.analysis.limits[0].warn_below == 0.2
    assert experiment.images == "zarr"


def test_the_real_plate_s_file_is_read() -> None:
    experiment = read_experiment((BBBC013 / "experiment.yaml").read_bytes())
    pattern = re.compile(experiment.files.pattern or "")
    assert len(experiment.expected_sites()) == 48
    assert all(pattern.fullmatch(path.name) for path in (BBBC013 / "images").iterdir())


def test_a_code_keeps_its_zeros_and_defaults_to_the_name() -> None:
    assert [channel.code for channel in read().channels] == ["01", "RNA"]


def test_an_acquisition_s_barcode_is_its_folder_s_name_unless_a_pattern_finds_another() -> None:
    folder = "BR00117006__2020-11-08T19_57_47-Measurement1"
    assert read().barcode_of(folder) == folder
    declared = read(SOUND + "barcode: '^(?P<barcode>[^_]+)__'\n")
    assert declared.barcode_of(folder) == "BR00117006"
    assert declared.barcode_of("pilot_1") == "pilot_1"


def test_a_barcode_pattern_that_may_find_nothing_leaves_the_folder_s_name() -> None:
    assert read(SOUND + "barcode: '^(?P<barcode>[A-Z]*)'\n").barcode_of("pilot_1") == "pilot_1"


def test_thresholds_of_suspicions_are_part_of_the_analysis_once_they_are_declared() -> None:
    assert "suspicions" not in read().analysis_part()
    declared = read(changed("analysis:", "analysis:\n  suspicions: {same_look: off, moved_map: 0.2}"))
    assert declared.analysis.suspicions.same_look == -1
    assert declared.analysis_part()["suspicions"]["moved_map"] == 0.2
    assert declared.recipe_id == read().recipe_id


def test_colors_follow_stain_and_role_unless_declared() -> None:
    assert [channel.color for channel in read().channels] == ["0000FF", "FFFF00"]
    declared = read(changed("role: cell,", 'role: cell, color: "#a0b0c0",'))
    assert declared.channels[1].color == "A0B0C0"


def test_expected_sites_are_in_plate_order() -> None:
    assert read().expected_sites()[:3] == (("B02", 1), ("B02", 2), ("B03", 1))
    assert read().expected_sites()[-2:] == (("P24", 1), ("P24", 2))
    assert len(read().expected_sites()) == 10


def test_all_wells_are_imaged_when_none_is_named() -> None:
    wells = [well for well, _ in read(changed("  imaged: [B02-C03, P24]\n", "")).expected_sites()]
    assert (wells[0], wells[-1], len(wells)) == ("A01", "P24", 768)


def test_a_well_in_two_ranges_is_expected_once() -> None:
    assert len(read(changed("[B02-C03, P24]", "[B02-C03, B02]")).expected_sites()) == 8


def test_sites_can_be_listed() -> None:
    assert read(changed("sites: 2", "sites: [7, 3, 3]")).layout.sites == (3, 7)


def test_one_range_needs_no_list() -> None:
    assert len(read(changed("[B02-C03, P24]", "B02-C03")).expected_sites()) == 8


@pytest.mark.parametrize(
    ("written", "seconds"), [("1800", 1800), ("30 min", 1800), ("2 h", 7200), ("1.5h", 5400), ("45 s", 45), ("0", 0)]
)
def test_patience_is_read_in_its_unit(written: str, seconds: float) -> None:
    assert read(f"{SOUND}\npatience: {written}").patience_s == seconds


def test_the_nucleus_channel_follows_the_recipe_and_then_the_role() -> None:
    by_role = read()
    assert by_role.nucleus_channel is by_role.channels[0]
    assert by_role.cell_channel is by_role.channels[1]
    by_recipe = read(changed("role: nucleus, ", "").replace("diameter_um", "channel: DNA, diameter_um"))
    assert by_recipe.nucleus_channel is by_recipe.channels[0]


def test_without_a_recipe_there_is_one_that_finds_no_objects() -> None:
    text = SOUND[: SOUND.index("recipe:")]
    experiment = read(text)
    assert experiment.recipe.nuclei is None
    assert experiment.recipe_id.startswith("default-")


def test_an_experiment_travels_to_a_worker() -> None:
    experiment = read()
    assert pickle.loads(pickle.dumps(experiment)) == experiment


def test_diameters_are_given_in_pixels_or_need_the_size_of_one() -> None:
    in_px, in_um = (Nuclei.model_validate({f"diameter_{unit}": [5, 20]}) for unit in ("px", "um"))
    assert in_px.diameter_in_px(None) == (5, 20)
    assert in_um.diameter_in_px(0.5) == (10, 40)
    with pytest.raises(ValueError, match="needs the pixel size"):
        in_um.diameter_in_px(None)


# What values depend on


def test_the_recipe_s_id_is_the_same_however_the_file_is_written() -> None:
    other = changed("{diameter_um: [5, 20]}", "\n    channel: DNA\n    diameter_um:\n    - 5.0\n    - 20.0\n")
    assert read(other).recipe_id == read().recipe_id
    assert re.fullmatch(r"v1-[0-9a-f]{8}", read().recipe_id)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("full_scale: 4095", "full_scale: 1023"),
        ("name: v1", "name: v2"),
        ("[5, 20]", "[5, 21]"),
        ("pixel_size_um: 0.5", "pixel_size_um: 0.6"),
        ("{name: RNA, role: cell", "{name: RNA, role: other"),
        ("cells: {}", "cells: {expansion_px: 5}"),
        ("  cells: {}\n", ""),
    ],
)
def test_the_recipe_s_id_follows_what_pixels_mean(old: str, new: str) -> None:
    text = changed(old, new)
    assert read(text).pixel_part() != read().pixel_part()
    assert read(text).recipe_id != read().recipe_id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('code: "01"', 'code: "02"'),
        ("full_scale: 4095}", "full_scale: 4095, color: 112233}"),
        (r"\.tif", r"\.tiff"),
        ("sites: 2", "sites: 3"),
        ("warn_below: 0.2", "warn_below: 0.3"),
    ],
)
def test_the_recipe_s_id_ignores_what_pixels_do_not_depend_on(old: str, new: str) -> None:
    assert read(changed(old, new)).recipe_id == read().recipe_id


def test_the_numbers_version_is_part_of_what_values_depend_on() -> None:
    assert read().pixel_part()["numbers_version"] == NUMBERS_VERSION


def test_the_recipe_s_channels_are_written_out() -> None:
    recipe = read().pixel_part()["recipe"]
    assert (recipe["nuclei"]["channel"], recipe["cells"]["channel"]) == ("DNA", "RNA")
    assert read(changed("role: cell", "role: other")).pixel_part()["recipe"]["cells"]["channel"] is None


def test_the_analysis_part_follows_limits_and_statistics_alone() -> None:
    assert read(changed("[5, 20]", "[5, 21]")).analysis_part() == read().analysis_part()
    assert read(changed("warn_below: 0.2", "warn_below: 0.3")).analysis_part() != read().analysis_part()


def test_the_recipe_s_parameters_are_those_of_the_kernels() -> None:
    recipe = read().recipe
    assert recipe.nuclei is not None
    assert recipe.cells is not None
    parameters = recipe.nuclei.parameters(0.5)
    assert parameters["diameter_px"] == (10, 40)
    assert {**parameters, **(segment_nuclei.__kwdefaults__ or {})} == parameters
    assert set(parameters) == {"diameter_px", *(segment_nuclei.__kwdefaults__ or {})}
    assert recipe.cells.parameters() | {"rivals": None} == segment_cells.__kwdefaults__


def test_smoothing_and_expansion_are_given_in_pixels_or_micrometres() -> None:
    text = changed("[5, 20]}", "[5, 20], smoothing_um: 0.25}").replace(
        "cells: {}", "cells: {smoothing_um: 1, expansion_um: 3}"
    )
    recipe = read(text).recipe
    assert recipe.nuclei is not None
    assert recipe.cells is not None
    assert recipe.nuclei.parameters(0.5)["smoothing_px"] == 0.5
    parameters = recipe.cells.parameters(0.5)
    assert (parameters["smoothing_px"], parameters["expansion_px"]) == (2, 6)


def test_a_preset_gives_nuclei_and_cells_and_what_is_written_goes_before_it() -> None:
    jump = changed("  nuclei: {diameter_um: [5, 20]}\n  cells: {}\n", "  preset: jump\n")
    recipe = read(jump).recipe
    assert recipe.nuclei is not None
    assert recipe.cells is not None
    assert recipe.nuclei.parameters(None)["diameter_px"] == (15, 90)
    assert recipe.nuclei.method == recipe.cells.method == "cellprofiler"
    assert recipe.cells.shared_rim
    own = read(jump.replace("jump", "jump\n  nuclei: {diameter_um: [5, 20], suppress_px: }")).recipe
    assert own.nuclei is not None
    assert own.nuclei.parameters(0.5)["diameter_px"] == (10, 40)
    assert own.nuclei.suppress_px == 8
    assert own.cells == recipe.cells


@pytest.mark.parametrize("preset", ["", "  preset: jump\n"])
def test_a_recipe_is_the_same_after_it_was_stored(preset: str) -> None:
    recipe = read(changed("  cells: {}\n", f"  cells: {{smoothing_um: 1}}\n{preset}")).recipe
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_the_nucleus_to_cytoplasm_ratio_needs_no_cells() -> None:
    text = changed("  cells: {}\n", "").replace(
        "Nuclei_Intensity_MeanIntensity", "Cells_Intensity_NucleusCytoplasmRatio"
    )
    assert read(text).analysis.statistics == ("Cells_Intensity_NucleusCytoplasmRatio_RNA",)
