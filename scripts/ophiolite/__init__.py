"""Ophiolite: raw 3-D microscopy to a finished, checked Neuroglancer dataset."""

__version__ = "0.1.0"
