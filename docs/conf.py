"""The documentation site: `make docs` builds it, without a network and with warnings as errors."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from generate import PROJECT, generate, missing  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

project = PROJECT["name"]
version = release = PROJECT["version"]
project_copyright = "the contributors, MIT licence"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "numpydoc",
    "myst_nb",
    "sphinx-mathjax-offline",  # the site has its own copy of MathJax
]
exclude_patterns = ["generated/parts/*"]  # included by pages
nitpicky = True  # a reference to nothing is an error
nitpick_ignore_regex = [("py:mod", r"[\w.]+\._[\w.]+")]  # private modules have no page
smartquotes = False  # options keep their two hyphens
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s")}

# Signatures have names and defaults; docstrings have shapes and units.
autodoc_typehints = "none"
autodoc_mock_imports = missing()  # the site builds without torch
numpydoc_show_class_members = False
# The absolute value of rho is not a substitution.
rst_prolog = "\n".join(rf".. |{name}| replace:: \|{name}\|" for name in ("rho", "rho_t"))

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # pages use the stored outputs; the tests run the notebooks

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("copy.js", {"defer": "defer"})]
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Generate the computed parts before Sphinx reads the pages."""
    app.connect("builder-inited", lambda _: generate())
