"""Declared fields: of CellProfiler, of flat-field images, of Harmony, and files that are none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.illumination_field import PlateField
from imaging.illumination_files import read_declared_field
from kernels.fields import rescale_field
from tests.imaging.small_plate import EXPERIMENT
from tests.kernels.simulated_sites import make_field
from tests.parts import ROOT, require

RAMP = np.linspace(1, 2, 60 * 80).reshape(60, 80)
PROFILE = (
    "{{Background: {{Character: NonFlat, Mean: 373.69866, Profile: {{Coefficients: [[1.1282], [-0.0165, 0.0298], "
    "[-0.8004, -0.0792, -0.2953], [-0.3127, 0.1014, -0.0155, 0.0063], [-0.7439, 0.2779, -1.4485, -0.2966, -1.4036]], "
    "Dims: [{side}, {side}], Origin: [{middle}, {middle}], Scale: [{scale}, {scale}], Type: Polynomial}}, "
    "Quality: 1.0}}, Channel: 1, ChannelName: GFP, Foreground: {{Character: Flat}}, Version: Acapella:2013}}"
)


def declare(section: str) -> Experiment:
    text = EXPERIMENT.replace("code: w1", "code: ch01").replace("code: w2", "code: green")
    return read_experiment(f"{text}illumination: {{source: file, {section}}}\n".encode())


def read(section: str, **files: bytes) -> PlateField | None:
    named = {name.replace("_", ".", 1): data for name, data in files.items()}

    def read_file(name: str) -> bytes:
        if name not in named:
            raise FileNotFoundError(name)
        return named[name]

    return read_declared_field(read_file, declare(section))


def faults_of(section: str, **files: bytes) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(section, **files)
    return caught.value.problems


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def header_only(side: int) -> bytes:
    """What a packed array of zeros, far larger than any machine, begins with."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": (side, side), "fortran_order": False, "descr": "<f8"})
    return file.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def tiff(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array)
    return buffer.getvalue()


def harmony(profile: str, channel: str = "1") -> bytes:
    return (
        '<?xml version="1.0"?><EvaluationInputData xmlns="43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV5"><Maps><Map>'
        f'<Entry ChannelID="{channel}"><FlatfieldProfile>{profile}</FlatfieldProfile></Entry>'
        "</Map></Maps></EvaluationInputData>"
    ).encode()


def small_profile(side: int = 160) -> str:
    return PROFILE.format(side=side, middle=(side - 1) / 2, scale=1 / side)


def test_an_archive_holds_arrays_by_channel_or_as_cellprofiler_names_them() -> None:
    field = read("file: a.npz", a_npz=npz(DNA=RAMP, IllumGFP=2 * RAMP, other=RAMP[:3]))
    assert (field.height, field.width) == (60, 80)
    assert np.array_equal(field.fields["DNA"], rescale_field(RAMP))
    assert np.allclose(field.fields["GFP"], field.fields["DNA"])


def test_a_channel_that_an_archive_does_not_hold_has_no_field() -> None:
    assert list(read("file: a.npz", a_npz=npz(DNA=RAMP)).fields) == ["DNA"]


def test_each_channel_can_have_a_file_of_its_own() -> None:
    counts = np.round(20_000 * RAMP).astype(np.uint16)
    field = read("files: {DNA: a.npy, GFP: b.tif}", a_npy=npy(RAMP), b_tif=tiff(counts))
    assert np.allclose(field.fields["GFP"], field.fields["DNA"], rtol=1e-4)
    assert np.array_equal(read("files: {GFP: b.TIFF}", b_TIFF=tiff(RAMP)).fields["GFP"], rescale_field(RAMP))


def test_a_large_field_is_averaged_on_the_grid_of_the_thumbnails() -> None:
    large = np.repeat(np.repeat(RAMP, 10, axis=0), 10, axis=1)
    field = read("file: a.npz", a_npz=npz(DNA=large))
    assert (field.height, field.width, field.factor) == (600, 800, 4)
    assert field.fields["DNA"].shape == (150, 200)
    assert field.fields["DNA"][0, 0] == pytest.approx(large[:4, :4].mean() / np.quantile(large, 0.02), rel=2e-3)


def test_harmonys_polynomial_is_drawn_with_x_and_y_scaled_from_the_middle() -> None:
    field = read("file: Index.xml, profile: background", Index_xml=harmony(small_profile()))
    known = make_field("harmony", 160)
    assert np.allclose(field.fields["DNA"], rescale_field(known), rtol=1e-5)
    assert np.median(known) == pytest.approx(1, abs=0.1)


def test_harmonys_channel_is_known_by_its_number_or_its_name() -> None:
    by_name = read("file: Index.xml, profile: background", Index_xml=harmony(small_profile(), channel="7"))
    assert list(by_name.fields) == ["GFP"]
    alone = read("files: {GFP: a.xml}, profile: background", a_xml=harmony(small_profile(), channel="7"))
    assert list(alone.fields) == ["GFP"]


def test_the_sample_of_a_real_export_is_read() -> None:
    require("shared")
    folder = ROOT.parent / "shared" / "data" / "harmony_operetta" / "operetta_plate" / "Images"
    experiment = declare("file: Index.idx.xml, profile: background")
    background = read_declared_field(lambda name: (folder / name).read_bytes(), experiment)
    assert (background.height, background.width, background.factor) == (1080, 1080, 4)
    assert np.allclose(background.fields["DNA"], rescale_field(make_field("harmony", 1080)[1::4, 1::4]), rtol=5e-3)
    foreground = read_declared_field(lambda name: (folder / name).read_bytes(), declare("file: Index.idx.xml"))
    assert foreground.fields["DNA"].max() > background.fields["DNA"].max()


def test_everything_that_is_wrong_with_files_is_told_at_once() -> None:
    assert faults_of("files: {DNA: a.npy, GFP: b.tif}", b_tif=b"II*\0broken") == (
        "illumination.files.DNA: a.npy is not there; put it beside experiment.yaml, or correct the name",
        faults_of("files: {GFP: b.tif}", b_tif=b"II*\0broken")[0],
    )


@pytest.mark.parametrize(
    ("section", "files", "fault"),
    [
        ("file: a.npz", {"a_npz": npz(Mito=RAMP)}, "holds no field of any channel (DNA, GFP)"),
        ("files: {DNA: a.npz}", {"a_npz": npz(GFP=RAMP)}, "a.npz holds no field of channel DNA"),
        ("file: a.npz", {"a_npz": npz(DNA=RAMP)[:200]}, "a.npz cannot be read: "),
        ("file: a.npz", {"a_npz": b""}, "a.npz cannot be read: "),
        (
            "file: a.npz",
            {"a_npz": npz(DNA=RAMP, GFP=RAMP.T)},
            "one size in pixels, that of the images, got DNA 80 x 60",
        ),
        ("files: {DNA: a.npy}", {"a_npy": npy(RAMP[None])}, "one plane of pixels, got an array of shape (1, 60, 80)"),
        ("files: {DNA: a.npy}", {"a_npy": npy(RAMP * np.nan)}, "numbers of 0 or more"),
        ("files: {DNA: a.npy}", {"a_npy": npy(0 * RAMP)}, "numbers of 0 or more"),
        ("files: {DNA: a.npy}", {"a_npy": npy(-RAMP)}, "numbers of 0 or more"),
        ("files: {DNA: a.npy}", {"a_npy": npy(RAMP.astype(str))}, "numbers of 0 or more"),
        ("files: {DNA: a.npy}", {"a_npy": npy(np.array([{}]))}, "a.npy must hold numbers of 0 or more"),
        ("files: {DNA: a.npy}", {"a_npy": header_only(200_000)}, "got an array of shape (200000, 200000)"),
        ("files: {DNA: a.npz}", {"a_npz": zipped("DNA.npy", header_only(200_000))}, "of shape (200000, 200000)"),
        ("files: {DNA: a.xml}", {"a_xml": b"<a"}, "a.xml is no XML: "),
        ("files: {DNA: a.xml}", {"a_xml": b"<a/>"}, "a.xml holds no FlatfieldProfile"),
        ("files: {DNA: a.xml}", {"a_xml": b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'}, "a.xml declares entities"),
        (
            "files: {DNA: a.xml}",
            {"a_xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16")},
            "a.xml declares entities",
        ),
        ("files: {DNA: a.xml}", {"a_xml": harmony(small_profile())}, "has no polynomial foreground profile for"),
        ("files: {DNA: a.xml}", {"a_xml": harmony("{a: [")}, "has a FlatfieldProfile that cannot be read"),
        ("files: {DNA: a.xml}", {"a_xml": harmony("word")}, "has a FlatfieldProfile that cannot be read"),
        (
            "files: {DNA: a.xml}, profile: background",
            {"a_xml": harmony(small_profile().replace("Dims: [160, 160], ", ""))},
            "has a background profile that cannot be read: ",
        ),
        (
            "files: {DNA: a.xml}, profile: background",
            {"a_xml": harmony(small_profile(side=99_999))},
            "it is for planes of 99999 x 99999 pixels",
        ),
    ],
)
def test_a_file_that_is_no_field_is_refused_in_words(section: str, files: dict[str, bytes], fault: str) -> None:
    (problem,) = faults_of(section, **files)
    assert fault in problem


def test_a_file_that_may_not_be_read_is_a_fault() -> None:
    def refuse(name: str) -> bytes:
        raise PermissionError("no permission")

    with pytest.raises(ConfigurationError) as caught:
        read_declared_field(refuse, declare("file: a.npz"))
    assert "a.npz cannot be read: no permission" in caught.value.problems[0]


def test_without_files_there_is_no_declared_field() -> None:
    plain = read_experiment(EXPERIMENT.encode())
    assert read_declared_field(lambda name: b"", plain) is None


def test_the_folder_of_a_real_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "fields").mkdir()
    (tmp_path / "fields" / "a.npz").write_bytes(npz(DNA=RAMP))
    field = read_declared_field(lambda name: (tmp_path / name).read_bytes(), declare("file: fields/a.npz"))
    assert list(field.fields) == ["DNA"]
