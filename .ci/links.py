"""Every link of the built site leads somewhere, and every public name has its entry.

python .ci/links.py .cache/site     after the build; exits with 1 and lists what is broken

Links to other hosts are not followed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_ext"))


class Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self, file: Path):
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what a start tag links to and is called by."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def broken(site: Path) -> tuple[list[str], int]:
    """What is broken, in words, and the number of internal links."""
    files = [file for file in sorted(site.rglob("*.html")) if "_static" not in file.parts]
    pages = {file.resolve(): Page(file) for file in files}
    found, count = [], 0
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            missing = not target.exists()
            if missing or (target in pages and anchor not in pages[target].anchors):
                found.append(f"{file.relative_to(site.resolve())}: {link}")
    return found, count


def undocumented(site: Path) -> tuple[list[str], int]:
    """Public names without an entry in the reference, and the number of all."""
    import public_names

    anchors = set().union(*(Page(file).anchors for file in (site / "docs/api").glob("*.html")))
    names = [name for rows in public_names.public_names().values() for name in rows]
    anchors |= {anchor.removeprefix("module-") for anchor in anchors}
    missing = {name.entry for name in names} - anchors
    return sorted(missing), len(names)


def main(site: Path) -> int:
    """Prints what is broken."""
    links, count = broken(site)
    names, total = undocumented(site)
    for line in (*links, *(f"no entry in the API reference: {name}" for name in names)):
        print(line)
    print(f"{len(links)} of {count} internal links broken")
    print(f"{len(names)} of {total} public names without an entry")
    return 1 if links or names else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
