"""CNN classifiers for grey medical images: models, training, metrics."""
