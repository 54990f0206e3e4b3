"""Sources of synthetic images, and the gates that keep their images in the training split."""
