"""CUDA kernels without a GPU: run on the CPU under many interleavings, compiled for every architecture."""
