"""Finished stages and trainings, recorded in MLflow, TensorBoard or a Lightning logger."""
