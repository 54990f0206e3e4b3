"""Evidence of classifiers in pictures: maps, activations, and shares of the maps by region."""
