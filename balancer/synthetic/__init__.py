"""Sources of synthetic images, and the gates that keep those images in the training split."""
