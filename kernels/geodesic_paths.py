"""Lengths of the shortest paths inside an object from its centre to each of its pixels, in whole numbers.

A path goes from pixel to pixel, straight (1 pixel) or diagonally (the square root of 2), and never leaves its object:
what CellProfiler's ``propagate`` measures on a flat image. A length is the whole number ``STRAIGHT * a + DIAGONAL * b``
for a straight and b diagonal steps. ``DIAGONAL / STRAIGHT`` is a convergent of the square root of 2, off by 2.7e-13 of
it, so that whole numbers are in the order of the true lengths for paths below 3,700 pixels; beyond, only lengths that
differ by less than 1e-9 pixels may change places. The least sum over all paths is the same on every device.
"""

from __future__ import annotations

from kernels.compiled import compiled

STRAIGHT = 1_136_689
DIAGONAL = 1_607_521
FAR = 2**32 - 1 - DIAGONAL
"""Stands for "not reached" in 32 bits: a step further still fits. Reached pixels are nearer, so paths of up to 3,775
pixels fit; an object with longer ones is measured in 64 bits."""
FAR_WIDE = 2**62
"""The same in 64 bits."""


@compiled
def spread_paths(paths, walls, centre_row, straight, diagonal, is_fresh):
    """Find the lengths of paths from the one pixel that is 0, in place.

    Parameters
    ----------
    paths
        Shape ``(y + 2, x + 2)``, uint32 or uint64: the object's box with one pixel around it. "Not reached" everywhere
        but at the centre, where it is 0; after the call lengths, and still "not reached" outside the object and in
        pieces of it that do not touch the centre's.
    walls
        The same shape and type: 0 inside the object, "not reached" outside.
    centre_row
        Row of the centre in ``paths``.
    straight, diagonal
        ``STRAIGHT`` and ``DIAGONAL``, of the same type.
    is_fresh
        Work buffer, shape ``(2, y + 2)`` or longer, bool: rows that the next row below or above has not seen yet.
    """
    last = len(paths) - 2
    is_fresh[:, : last + 2] = False
    _run_along(paths, walls, centre_row, straight)
    is_fresh[:, centre_row] = True
    first_fresh, is_any_fresh = centre_row, True
    while is_any_fresh:
        for y in range(first_fresh + 1, last + 1):
            if is_fresh[0, y - 1]:
                is_fresh[0, y - 1] = False
                if _step(paths, walls, y - 1, y, straight, diagonal):
                    is_fresh[0, y] = is_fresh[1, y] = True
        is_fresh[0, last] = False
        is_any_fresh = False
        for y in range(last - 1, 0, -1):
            if is_fresh[1, y + 1]:
                is_fresh[1, y + 1] = False
                if _step(paths, walls, y + 1, y, straight, diagonal):
                    is_fresh[0, y] = is_fresh[1, y] = True
                    first_fresh, is_any_fresh = y, True
        is_fresh[1, 1] = False


@compiled
def _step(paths, walls, near, y, straight, diagonal):
    """Go from row ``near`` to row ``y``, and along that where it helps; whether any path became shorter."""
    kind = paths.dtype.type
    width = paths.shape[1] - 2
    changed = kind(0)
    for x in range(width):
        length = kind(min(paths[near, x], paths[near, x + 2]) + diagonal)
        length = min(length, kind(paths[near, x + 1] + straight))
        length = max(min(paths[y, x + 1], length), walls[y, x + 1])
        changed = kind(changed | (paths[y, x + 1] ^ length))
        paths[y, x + 1] = length
    if changed == 0:
        return False
    changed = kind(0)
    for x in range(width):
        length = kind(min(paths[y, x], paths[y, x + 2]) + straight)
        length = max(min(paths[y, x + 1], length), walls[y, x + 1])
        changed = kind(changed | (paths[y, x + 1] ^ length))
    if changed != 0:
        _run_along(paths, walls, y, straight)
    return True


@compiled
def _run_along(paths, walls, y, straight):
    kind = paths.dtype.type
    width = paths.shape[1] - 2
    for x in range(width):
        paths[y, x + 1] = max(min(paths[y, x + 1], kind(paths[y, x] + straight)), walls[y, x + 1])
    for x in range(width, 0, -1):
        paths[y, x] = max(min(paths[y, x], kind(paths[y, x + 1] + straight)), walls[y, x])
