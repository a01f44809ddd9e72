"""Whole architectures, one a file; `unmist.networks.family.networks` knows them by name."""
