"""Lung masks: find them by name, read them, and keep those of an index."""
