"""Why classifiers decide as they do, in pictures: maps, activations, and where the maps lie."""
