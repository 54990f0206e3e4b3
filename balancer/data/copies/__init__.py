"""Copies of a film under other names, and the groups that no split may part."""
