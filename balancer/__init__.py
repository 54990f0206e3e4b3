"""Honest class balancing for medical images."""
