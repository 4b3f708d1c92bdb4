"""Thin Beam PTransforms over the kernels."""
