"""Shortcuts: borders, file facts and sources that give a class away without the disease."""
