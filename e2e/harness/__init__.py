"""What the scenarios stand on: a control plane without machines, the controllers, simulated traffic, our service."""
