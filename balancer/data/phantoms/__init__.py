"""Radiographs that are drawn, for tests and samples; no patient is in them."""
