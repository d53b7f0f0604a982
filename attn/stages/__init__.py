"""The work of a pipeline step as a plain callable, tested without any engine."""
