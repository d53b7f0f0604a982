"""Trainings on Ray Train: what is settled before, what every worker does, what is kept and told meanwhile."""
