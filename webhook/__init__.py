"""The service around ``analysis``: everything that touches the world and decides nothing."""
