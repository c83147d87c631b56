"""Folders of the site, and what is read from the project file."""

import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
PARTS = GENERATED / "parts"  # included by pages
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
