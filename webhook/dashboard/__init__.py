"""Pages for people, without scripts."""
