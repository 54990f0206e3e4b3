"""A verdict on the images of any generator, from folders alone."""
