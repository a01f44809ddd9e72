"""Sphinx: `sphinx-build -W docs build/docs`. Builds without a network."""

from importlib.metadata import version as installed

project = "unmist"
author = "the authors of unmist"
version = release = installed("unmist")

extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "unmist"
exclude_patterns = ["_build"]
