"""Readers of the public archives, one module per layout; `registry` knows them all."""
