"""DCGAN for small sets of grey medical images: networks, losses, training, sampling."""
