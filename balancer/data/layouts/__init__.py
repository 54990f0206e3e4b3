"""Readers of image archives, one module per layout; `recognition` lists them all."""
