"""The seam to devices: who computes where, what a launch takes, Fourier transforms."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu, check_arguments, complete_source, gpu_of, read_source
from tests.python_process import run_python


def test_numpy_arrays_have_no_device() -> None:
    assert gpu_of(np.zeros(3)) is None
    assert gpu_of(np.ma.zeros(3)) is None


def test_a_device_knows_its_arrays(gpu: Gpu) -> None:
    assert gpu_of(gpu.put(np.zeros(3))) is gpu
    assert gpu_of(gpu.empty((2, 3), np.uint8)) is gpu


@pytest.mark.parametrize("array", [[1, 2], 3.0, memoryview(b"12")])
def test_what_is_no_array_is_refused(array: object) -> None:
    with pytest.raises(TypeError, match=f"must be NumPy's or CuPy's, got {type(array).__name__}"):
        gpu_of(array)


def test_cupy_is_not_imported_for_numpy_arrays(tmp_path) -> None:
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')\n")
    code = """
        import numpy as np, sys
        from kernels import device, gpu
        planes = np.zeros((1, 2, 2), np.uint16)
        assert gpu.gpu_of(planes) is None
        device.use_device("cpu")
        assert device.to_host(device.to_device(planes)) is planes
        print("cupy" in sys.modules)
    """
    assert run_python(code, before_all=tmp_path).stdout == "False\n"


def test_values_survive_the_way_to_a_device_and_back(gpu: Gpu) -> None:
    values = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    there = gpu.put(values.transpose(2, 0, 1))
    assert there.flags.c_contiguous
    assert (gpu.get(there) == values.transpose(2, 0, 1)).all()
    assert type(gpu.get(there)) is np.ndarray
    assert (gpu.get(gpu.zeros((2, 5), np.float64)) == np.zeros((2, 5))).all()
    assert gpu.empty(7, np.complex64).dtype == np.complex64


@pytest.mark.parametrize("value", [7, 7.0, True, None, [7]])
def test_a_number_without_a_type_is_refused(gpu: Gpu, value: object) -> None:
    with pytest.raises(TypeError, match=r"argument 1 of probe.probe must be .* np.int32\(7\), got"):
        gpu.kernel("probe", "probe")((1,), (32,), (value,))


def test_an_array_of_the_host_is_refused(gpu: Gpu) -> None:
    with pytest.raises(TypeError, match=r"must be an array of the device .* got ndarray"):
        gpu.kernel("probe", "probe")((1,), (32,), (np.zeros(32, np.uint32),))


def test_an_array_with_gaps_is_refused(gpu: Gpu) -> None:
    with pytest.raises(ValueError, match=r"argument 1 of probe.probe must be contiguous, got strides \(8,\)"):
        gpu.kernel("probe", "probe")((1,), (32,), (gpu.zeros(64, np.uint32)[::2],))


def test_scalars_and_contiguous_arrays_are_taken() -> None:
    check_arguments("a.b", [np.zeros((2, 3)), np.float64(1), np.bool_(True), np.int32(4)], np.ndarray)


@pytest.mark.parametrize(("shape", "columns"), [((1, 8, 8), 5), ((3, 33, 20), 4), ((2, 7, 15), 8), ((1, 1, 4), 1)])
def test_the_lowest_frequencies_are_those_of_the_whole_transform(
    gpu: Gpu, shape: tuple[int, int, int], columns: int
) -> None:
    planes = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    spectrum = gpu.rfft_columns(gpu.put(planes), columns)
    assert spectrum.flags.c_contiguous
    assert spectrum.dtype == np.complex64
    wanted = np.fft.fft2(planes.astype(np.float64))[:, :, :columns]
    np.testing.assert_allclose(gpu.get(spectrum), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def test_a_source_comes_with_the_common_code_and_keeps_its_lines() -> None:
    source = read_source("probe").splitlines()
    assert source[0] == '#line 1 "common.cuh"'
    assert "warp_sum" in read_source("probe")
    own = source.index('#line 1 "probe.cu"')
    assert source[own + 1].startswith("// The one real kernel")
    assert complete_source("a.cu", "text").endswith('\n#line 1 "a.cu"\ntext')
