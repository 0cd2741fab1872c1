"""The documentation's site, made by `make docs`. Its pages are plain Markdown, which reads as well in the repository."""

import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.highlighting import lexers

project = "lora-operator"
author = "the lora-operator contributors"
extensions = ["myst_parser"]
exclude_patterns = ["README.md"]  # it is the text of the site's first page
myst_heading_anchors = 4
highlight_language = "text"
lexers["mermaid"] = TextLexer()  # drawn where the repository is read; here the numbers have to do

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

_HERE = Path(__file__).resolve().parent
_REPOSITORY = "https://github.com/lora-operator/lora-operator"
_LINK = re.compile(r"\]\((?![a-z]+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def _as_on_the_site(_app: Sphinx, page: str, source: list[str]) -> None:
    """Leads links where the site has something for them; what lies outside of it is in the repository."""
    folder = (_HERE / page).parent

    def led(link: re.Match[str]) -> str:
        target = (folder / link["path"]).resolve()
        if target == _HERE / "README.md":
            return link[0].replace("README.md", "index.md")
        if (target / "index.md").exists():
            return f"]({link['path']}/index.md)"
        if not target.exists() or (target.is_relative_to(_HERE) and not target.is_dir()):
            return link[0]
        kind = "tree" if target.is_dir() else "blob"
        place = target.relative_to(_HERE.parent)
        return f"]({_REPOSITORY}/{kind}/main/{place}{link['anchor'] or ''})"

    text = source[0] if page != "index" else f"{(_HERE / 'README.md').read_text(encoding='utf-8')}\n{source[0]}"
    source[0] = _LINK.sub(led, text)


def setup(app: Sphinx) -> None:
    """See Sphinx."""
    app.connect("source-read", _as_on_the_site)
