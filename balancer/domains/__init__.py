"""Kinds of medical images: their words, checks, sane flips and usual shortcuts, as tables."""
