"""Tests of Platestream; a package, so that ``tests`` cannot be a stranger's from site-packages."""
