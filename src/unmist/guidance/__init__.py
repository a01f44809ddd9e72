"""Guidance: denoisers made of denoisers, that turn a mean towards what is wished (slide 10)."""
