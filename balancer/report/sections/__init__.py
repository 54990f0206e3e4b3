"""Sections of the report; each returns blocks."""
