"""A seeded phantom that looks like electron microscopy and whose contents are known."""

from ophiolite.sample.files import truth_path, write_cremi, write_truth
from ophiolite.sample.phantom import make_phantom
from ophiolite.sample.truth import Branch, ObjectTruth, Phantom, Synapse

__all__ = ["Branch", "ObjectTruth", "Phantom", "Synapse", "make_phantom", "truth_path", "write_cremi", "write_truth"]
