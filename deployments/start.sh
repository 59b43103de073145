#!/bin/sh
# Starts a program of the image. Kernels that were compiled with the image are put where numba can also write; of two
# containers on one folder that do so at once, the second finds the work done.
set -eu
if [ -n "${NUMBA_CACHE_DIR:-}" ] && [ ! -e "$NUMBA_CACHE_DIR" ] && [ -d "${COMPILED_KERNELS:=/opt/numba}" ]; then
    mkdir -p "$(dirname "$NUMBA_CACHE_DIR")"
    cp -r "$COMPILED_KERNELS" "$NUMBA_CACHE_DIR.$$"
    mv -T "$NUMBA_CACHE_DIR.$$" "$NUMBA_CACHE_DIR" 2>/dev/null || rm -rf "$NUMBA_CACHE_DIR.$$"
fi
exec "$@"
