"""Whole stories: train, sample, look, doctor."""
