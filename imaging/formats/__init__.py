"""Formats of instruments: which objects of a folder are which planes, and what manifests say should come."""
