"""Optimizers, averages and the one training step."""
