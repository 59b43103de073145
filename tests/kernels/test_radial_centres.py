"""Which of several equally deep pixels is an object's centre: what a plain introsort of the whole plane leaves last."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import radial_centres
from kernels.label_distances import squared_distances
from kernels.radial_centres import choose_centres, find_peaks


def introsort(values: list[int]) -> list[int]:
    """Argsort of NumPy before 1.25: quicksort by the median of three, insertion for 16 values and fewer."""
    order = list(range(len(values)))
    waiting = [(0, len(values) - 1)]

    def is_less(one: int, other: int) -> bool:
        return values[order[one]] < values[order[other]]

    def swap(one: int, other: int) -> None:
        order[one], order[other] = order[other], order[one]

    while waiting:
        begin, end = waiting.pop()
        while end - begin > 15:
            middle = begin + (end - begin) // 2
            for one, other in ((middle, begin), (end, middle), (middle, begin)):
                if is_less(one, other):
                    swap(one, other)
            pivot = values[order[middle]]
            left, right = begin, end - 1
            swap(middle, right)
            while True:
                left += 1
                while values[order[left]] < pivot:
                    left += 1
                right -= 1
                while pivot < values[order[right]]:
                    right -= 1
                if left >= right:
                    break
                swap(left, right)
            swap(left, end - 1)
            waiting.append((left + 1, end))
            end = left - 1
        for place in range(begin + 1, end + 1):
            while place > begin and is_less(place, place - 1):
                swap(place, place - 1)
                place -= 1
    return order


def last_maxima(labels: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Centres by the plain sort, in which each label's last greatest pixel wins."""
    centres = np.full(labels.max(), -1)
    for index in introsort(squares.ravel().tolist()):
        label = labels.flat[index]
        if label:
            centres[label - 1] = index
    return centres


def tiles(seed: int, shape: tuple[int, int], share: float) -> np.ndarray:
    """Rectangles of many sizes, most with several equally deep pixels; some numbers are covered by others."""
    noise = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for label in range(1, int(shape[0] * shape[1] * share / 60) + 2):
        y, x = noise.integers(0, shape[0]), noise.integers(0, shape[1])
        labels[y : y + noise.integers(1, 16), x : x + noise.integers(1, 16)] = label
    return labels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("shape", "share"), [((70, 90), 0.1), ((90, 60), 1.5), ((16, 1), 1.0), ((130, 120), 0.6)])
def test_cellprofilers_choice_is_what_its_sort_leaves_last(seed: int, shape: tuple[int, int], share: float) -> None:
    labels = tiles(seed, shape, share)
    squares = squared_distances(labels, frame_counts=False)
    peaks = find_peaks(labels, squares, int(labels.max()))
    chosen = choose_centres(labels, squares, peaks.greatest, peaks.ties, peaks.first, "cellprofiler")
    is_there = peaks.ties > 0
    np.testing.assert_array_equal(chosen[is_there], last_maxima(labels, squares)[is_there])
    assert (chosen[~is_there] == -1).all()
    assert labels.size < 100 or (peaks.ties > 1).any()


def test_values_too_great_for_a_short_word_are_sorted_too() -> None:
    labels = np.ones((20, 1500), np.int32)
    labels[:, :3] = 0
    labels[::2, 3] = 0
    labels[5:15, 3:13] = 2
    squares = squared_distances(labels, frame_counts=False)
    assert squares.max() >= 1 << (32 - (labels.size - 1).bit_length())
    peaks = find_peaks(labels, squares, 2)
    chosen = choose_centres(labels, squares, peaks.greatest, peaks.ties, peaks.first, "cellprofiler")
    np.testing.assert_array_equal(chosen, last_maxima(labels, squares))


def test_the_first_choice_is_the_first_in_raster_order() -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[2:12, 5:25], labels[15, 1] = 1, 3
    squares = squared_distances(labels, frame_counts=False)
    peaks = find_peaks(labels, squares, 3)
    assert peaks.greatest.tolist() == [25, 0, 1]
    assert peaks.ties.tolist() == [2 * 12, 0, 1]
    assert peaks.boxes.tolist() == [[2, 5, 12, 25], [0, 0, 0, 0], [15, 1, 16, 2]]
    chosen = choose_centres(labels, squares, peaks.greatest, peaks.ties, peaks.first, "first")
    assert chosen.tolist() == [6 * 30 + 9, -1, 15 * 30 + 1]


def test_a_sort_that_numpy_would_hand_to_heapsort_leaves_the_first_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = tiles(0, (40, 40), 0.5)
    squares = squared_distances(labels, frame_counts=False)
    peaks = find_peaks(labels, squares, int(labels.max()))
    monkeypatch.setattr(radial_centres, "_choose", lambda *_: False)
    chosen = choose_centres(labels, squares, peaks.greatest, peaks.ties, peaks.first, "cellprofiler")
    np.testing.assert_array_equal(chosen, peaks.first)
