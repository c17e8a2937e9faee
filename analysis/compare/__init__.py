"""Evidence for one question: one module per kind of data."""
