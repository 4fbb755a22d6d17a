#!/usr/bin/env python3
"""Builds the site from the pages of this repository with mdBook, below target/docs.

    python3 docs/site.py

Pages keep their paths, so that links between them work in the repository and on the site alike. Every relative link of
the built site is checked. Without mdBook nothing is built, and the exit status is 1.
"""

import html.parser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "target" / "docs"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()}


def targets(page):
    """The files that a page links to, named from the root."""
    for target, _ in LINK.findall((ROOT / page).read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            yield (ROOT / page.parent / target).resolve().relative_to(ROOT)


def pages():
    """The summary's pages, and every file that one of them links to."""
    summary = Path("docs/SUMMARY.md")
    found = set(targets(summary))
    for page in sorted(found):
        found.update(target for target in targets(page) if (ROOT / target).is_file())
    return found & tracked() | found


def stage():
    source = STAGE / "src"
    shutil.rmtree(STAGE, ignore_errors=True)
    source.mkdir(parents=True)
    for page in pages():
        if (ROOT / page).is_file():
            (source / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / page, source / page)
    # mdBook wants the summary at the top, with links from there.
    summary = (ROOT / "docs/SUMMARY.md").read_text()
    moved = LINK.sub(lambda link: f"]({(ROOT / 'docs' / link[1]).resolve().relative_to(ROOT)})", summary)
    (source / "SUMMARY.md").write_text(moved)
    shutil.copy(ROOT / "docs/book.toml", STAGE / "book.toml")


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.found.append(value)


def broken(site):
    for page in site.rglob("*.html"):
        links = Links()
        links.feed(page.read_text())
        for link in links.found:
            target = unquote(link.split("#")[0].split("?")[0])
            if not target or "://" in target or target.startswith(("mailto:", "javascript:", "data:", "/")):
                continue
            if not (page.parent / target).exists():
                yield f"{page.relative_to(site)}: {link}"


def main():
    if not shutil.which("mdbook"):
        print("mdbook is not installed, so no site was built: cargo install mdbook --locked", file=sys.stderr)
        return 1
    stage()
    subprocess.run(["mdbook", "build", str(STAGE), "--dest-dir", str(STAGE / "site")], check=True)
    problems = sorted(set(broken(STAGE / "site")))
    for problem in problems:
        print(f"broken link: {problem}", file=sys.stderr)
    if not problems:
        print(f"{STAGE / 'site' / 'index.html'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
