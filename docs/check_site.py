"""Check a built site: local links have a target, and pages load nothing from other sites.

``python docs/check_site.py build/site`` prints each problem and then exits with status 1.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that a browser loads by itself. Other links are for readers.
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("iframe", "src")}
# Relations of links that load nothing.
RELATIONS = {"canonical", "next", "prev", "index", "search", "author"}


class Page(HTMLParser):
    """Anchors, links and loaded URLs of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the anchors and links of a tag."""
        values = dict(attrs)
        if values.get("id"):
            self.anchors.add(str(values["id"]))
        for name, value in attrs:
            if not value:
                continue
            if (tag, name) in LOADED and values.get("rel") not in RELATIONS:
                self.loaded.append(value)
            if name in ("href", "src"):
                self.links.append(value)


def problems(site: Path) -> list[str]:
    """Return one line for each problem of a site."""
    pages = {path.resolve(): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: no pages"]
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name}: loads {url}" for url in page.loaded if is_remote(url)]
        found += [f"{name}: {link} has no target" for link in page.links if lost(link, path, pages)]
    return found


def is_remote(url: str) -> bool:
    """Return whether a URL names another host."""
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def lost(link: str, path: Path, pages: dict[Path, Page]) -> bool:
    """Return whether a link is local and its file or its anchor does not exist."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target not in pages:
        return not target.is_file()
    return bool(parts.fragment) and unquote(parts.fragment) not in pages[target].anchors


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong) or "every local link has a target; nothing is loaded from other sites")
    sys.exit(bool(wrong))
