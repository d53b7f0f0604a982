"""Trainings without Ray: learners, loop, run folder, checkpoints, banks of data, settings."""
