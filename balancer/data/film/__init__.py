"""Metadata of an image from its bytes: hash, size, exposure, text, pose and fingerprint."""
