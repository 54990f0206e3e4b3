"""Lung masks: find them beside images, read them, and keep those of an index."""
