"""Layers with weights and no schedule, for one to three axes."""
