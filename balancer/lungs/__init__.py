"""Lung fields of an index: masks that are known, a U-Net that learns them, masks for every film."""
