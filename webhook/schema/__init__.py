"""Wire formats: the only place that knows what things are called outside."""
