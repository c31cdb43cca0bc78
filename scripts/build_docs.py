"""Build the guides of docs/ and the API reference, one page a module, into site/.

The reference pages are written next to a copy of the guides in build/docs, so that nothing that is
generated stands among the sources.

    python scripts/build_docs.py
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).resolve().parents[1]
SOURCE_FOLDERS = (
    ROOT / "simrl",
    ROOT / "envs" / "simrl_envs",
    ROOT / "controllers/simrl_controllers",
)
STAGE = ROOT / "build" / "docs"


def main() -> int:
    """Build the site strictly: a broken link or an unknown page is an error."""
    logging.basicConfig(level=logging.WARNING, format="docs: %(levelname)s: %(message)s")
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE, ignore=shutil.ignore_patterns("mkdocs.yml"))
    if not (STAGE / "index.md").exists():
        shutil.copy(ROOT / "README.md", STAGE / "index.md")
    num_modules = write_reference(STAGE / "reference")
    # The pages of material print an advertisement unless told otherwise.
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    config = load_config(
        str(ROOT / "docs" / "mkdocs.yml"),
        docs_dir=str(STAGE),
        site_dir=str(ROOT / "site"),
        strict=True,
    )
    build(config)
    print(f"docs: site/index.html, with {num_modules} modules in the reference")
    return 0


def write_reference(folder: Path) -> int:
    """Write one page for each public module and return how many there are."""
    num_modules = 0
    for source in SOURCE_FOLDERS:
        for module in public_modules(source):
            page = folder.joinpath(*module.split(".")).with_suffix(".md")
            if (source.parent / Path(*module.split("."))).is_dir():
                page = page.with_suffix("") / "index.md"
            page.parent.mkdir(parents=True, exist_ok=True)
            title = module.rsplit(".", 1)[-1]
            page.write_text(f"---\ntitle: {title}\n---\n\n::: {module}\n", encoding="utf-8")
            num_modules += 1
    return num_modules


def public_modules(package: Path) -> Iterator[str]:
    """Yield the dotted names of a package's modules.

    Those that start with `_` are left out, and files in folders that are no packages: migrations
    are run by Alembic alone, never imported.
    """
    for path in sorted(package.rglob("*.py")):
        if not (path.parent / "__init__.py").exists():
            continue
        parts = path.relative_to(package.parent).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not any(part.startswith("_") for part in parts):
            yield ".".join(parts)


if __name__ == "__main__":
    sys.exit(main())
