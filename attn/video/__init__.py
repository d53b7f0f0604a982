"""Videos in: where they lie, what they are called, and how their frames come out."""
