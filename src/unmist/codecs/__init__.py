"""Data space to model space and back; `unmist.codecs.pixels.codecs` knows them by name."""
