"""Plate readers: one or a few values per well, from readers' exports, as profiles that take the same path as images do.

    exports     a reader's file: lines of plate, well and value, or grids below a preamble
    screen      a folder: which file is which plate, replicate and channel; controls, genes, the screen's log
    reading     either of them as profiles

A folder is described as cellHTS2 describes screens (Boutros, Bras and Huber 2006, Genome Biol 7:R66): a plate list, and
optionally a plate configuration, annotations and a screen log.
"""

from imaging.analyses.plate_reader.reading import is_plate_reader, read_plate_reader

__all__ = ["is_plate_reader", "read_plate_reader"]
