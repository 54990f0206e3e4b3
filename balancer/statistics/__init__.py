"""Tests, intervals and verdicts over repeated runs; pure functions of numbers."""
