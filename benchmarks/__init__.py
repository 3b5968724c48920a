"""Ours against Igneous: the same work through both, measured. `make benchmark`."""
