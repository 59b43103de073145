"""Plates, wells, sites, images, records, tables and pages: everything a plate is, without an orchestrator."""
