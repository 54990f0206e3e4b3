"""Drawn chest phantoms; no patients."""
