"""Trainings on Ray Train: driver, workers, placement and progress."""
