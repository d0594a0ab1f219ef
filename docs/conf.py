"""Settings of the site, built from the root: `sphinx-build -W -b html -c docs . .cache/site`.

The root is the source folder, so that every link works both here and on GitHub.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs" / "_ext"), str(ROOT)]

import rnnjax  # noqa: E402

project = "rnnjax"
author = "The rnnjax founders"
copyright = f"2026, {author}"
release = version = rnnjax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "reference",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**", "notebooks/*.ipynb", "benchmarks/README.md", "CHANGELOG.md", "CONTRIBUTING.md",
    "SECURITY.md",
]  # fmt: skip
exclude_patterns = [
    ".*", "build", "dist", "venv", "runs", "rnnjax", "tests", "experiments", "*.egg-info",
    "docs/_*", "**/.ipynb_checkpoints",
]  # fmt: skip

# Notebooks are shown with their committed outputs, since a run takes minutes; the tests execute
# them, and compare. `-D nb_execution_mode=force` executes them in the build.
nb_execution_mode = "off"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]

default_role = "py:obj"  # code spans of docstrings, links where they name something public
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
python_display_short_literal_types = True
napoleon_numpy_docstring = False
add_module_names = False

html_theme = "sphinx_book_theme"
html_title = f"rnnjax {release}"
html_static_path = ["_static"]
html_extra_path = ["_root"]  # index.html, which leads to docs/index.html
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "home_page_in_toc": False,
    "use_download_button": False,
    "navbar_persistent": [],
    "use_fullscreen_button": False,
    "path_to_docs": "docs",
}
