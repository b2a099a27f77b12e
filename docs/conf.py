"""The site's settings: Sphinx reads Markdown (MyST), needs no network, and what a page refers to must exist."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent), str(DOCS.parent / "platform")]

project = "Animated stickers"
extensions = ["myst_parser", "reference"]
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
