"""Arms x folds x seeds: which classifiers are trained, how, and what became of each."""
