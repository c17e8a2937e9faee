"""Models of the two controllers' rules, on a virtual clock, to drive whole releases without a cluster."""
