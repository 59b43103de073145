"""Kernels: numbers from pixels, arrays in and arrays out. No plates, files, tables or services."""
