"""Lungs in chest radiographs: segmentation without training, the U-Net, and views of them."""
