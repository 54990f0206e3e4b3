"""Preprocessing of an image before it becomes a square: pure functions of grey values."""
