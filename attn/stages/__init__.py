"""Pipeline steps as plain callables, which can be tested without Ray."""
