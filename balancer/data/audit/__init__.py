"""Checks of the images before training: faults, copies, suspicious images and shortcuts."""
