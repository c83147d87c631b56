"""The documentation site: its examples run, it is complete, and it builds."""

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import browser as driver

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "generated" not in path.parts)
NAMES = [str(path.relative_to(DOCS)) for path in PAGES]
CITATION = re.compile(r"arXiv:([a-z.-]*/?\d[\d.]*\d)")


sys.path.insert(0, str(DOCS))  # as the configuration of the site does
generate, check_site = map(importlib.import_module, ("generate", "check_site"))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_print_the_output_on_the_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```pycon\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test).failed == 0


def test_a_file_of_points_as_on_the_page_can_be_read(tmp_path):
    from rdp import load_points

    [block] = re.findall(
        r"^```json\n(.*?)^```", (DOCS / "validate.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    (tmp_path / "points.json").write_text(block)
    [point] = load_points(tmp_path / "points.json")
    assert (point.label, point.plf, point.frames) == ("my codec", "MMSE", 2)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page):
    from typer.main import get_command

    from solvers.cli import app

    known = get_command(app).commands
    for command, options in re.findall(r"^    rdp (\w+)(.*)$", page.read_text(), re.MULTILINE):
        given = {option for option in options.split() if option.startswith("--")}
        assert given <= {opt for param in known[command].params for opt in param.opts}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pages_that_are_referred_to_exist(page):
    text = page.read_text()
    targets = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`", text)
    if page.name == "index.md":
        for block in re.findall(r"```\{toctree\}\n(.*?)```", text, flags=re.DOTALL):
            targets += re.findall(r"^(?!:)(\S+)$", block, flags=re.MULTILINE)
    notebooks = {f"generated/notebooks/{path.stem}" for path in ROOT.glob("notebooks/*.ipynb")}
    made = {"generated/commands", "generated/gallery"}
    made |= {f"generated/{name}" for name in generate.PACKAGES}
    for target in targets:
        folder = DOCS if target.startswith("/") else page.parent
        path = Path(os.path.normpath(folder / target.lstrip("/"))).relative_to(DOCS)
        assert str(path) in made | notebooks or (DOCS / f"{path}.md").exists(), target


@pytest.mark.parametrize("path", [*PAGES, *DOCS.rglob("*.py")], ids=lambda path: path.name)
def test_no_path_of_one_machine(path):
    assert not re.search(r"(?<![\w.)}>])/(?:home|root|tmp|work|Users|usr)/", path.read_text())


@pytest.mark.parametrize("package", generate.PACKAGES)
def test_api_pages_have_every_public_name(package):
    if package == "neural":
        pytest.importorskip("torch")
    top = importlib.import_module(package)
    pages = dict(generate.module_pages(package))
    text = "\n".join(pages.values())
    documented = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.M)
    assert len(documented) == len(set(documented))
    assert {f"{package}.{name}" for name in getattr(top, "__all__", ())} <= set(documented)
    assert set(pages) == {package, *generate.public_modules(package)}
    listed = re.findall(rf"^   ({package}\.[\w.]+)$", pages[package], flags=re.MULTILINE)
    assert set(listed) == set(pages) - {package}


def test_every_cited_paper_is_in_the_references():
    sources = [path for name in generate.PACKAGES for path in (ROOT / name).rglob("*.py")]
    cited = {key for path in sources for key in CITATION.findall(path.read_text())}
    pages = "".join(page.read_text() for page in PAGES if page.name != "references.md")
    cited |= set(re.findall(r"\{arxiv\}`([^`]+)`", pages))
    listed = re.findall(r"^\{arxiv\}`([^`]+)`$", (DOCS / "references.md").read_text(), re.M)
    assert cited == set(listed)


def test_every_benchmark_of_a_solver_is_rendered_from_its_results():
    sections = list(generate.benchmarks(["lookahead"]))
    assert "frames | loss" in sections[1]
    assert len(sections[1].splitlines()) > 3


def test_a_cell_with_a_bar_stays_one_cell():
    assert generate.table([["|a|", 1]]).splitlines()[0] == r"| \|a\| | 1 |"


def test_check_of_the_site_finds_lost_links_and_remote_content(tmp_path):
    (tmp_path / "good.html").write_text('<a id="here" href="good.html#here">ok</a>')
    assert check_site.problems(tmp_path) == []
    (tmp_path / "bad.html").write_text(
        '<script src="https://example.com/x.js"></script><a href="good.html#there">a</a>'
        '<a href="gone.html">b</a><a href="https://example.com">fine</a>'
    )
    assert check_site.problems(tmp_path) == [
        "bad.html: loads https://example.com/x.js",
        "bad.html: good.html#there has no target",
        "bad.html: gone.html has no target",
    ]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    copy, site = tmp_path / "copy", tmp_path / "site"  # other tests read the repository meanwhile
    shutil.copytree(DOCS, copy / "docs", ignore=shutil.ignore_patterns("generated"))
    for name in (*generate.PACKAGES, "benchmarks", "notebooks", "pyproject.toml"):
        (copy / name).symlink_to(ROOT / name)
    options = ["-q", "-W", "--keep-going", "-d", tmp_path / "doctrees"]
    build = [sys.executable, "-m", "sphinx", *options, copy / "docs", site]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert check_site.problems(site) == []
    assert len(list((site / "generated").glob("*.html"))) > 150  # pages of the API: all are seen
    if driver.missing() is None:
        assert bad_pages(site) == []


# the width of the page in a theme, and the first box that shines on a dark page
LOOK = """
document.body.dataset.theme = arguments[0];
if (!arguments[1]) return [document.documentElement.scrollWidth, ""];
const bright = [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  const [r, g, b, a = 1] = getComputedStyle(element).backgroundColor.match(/[\\d.]+/g).map(Number);
  return box.width * box.height > 100 && a > 0.5 && Math.min(r, g, b) > 160;
});
const first = bright.length ? bright[0].outerHTML.slice(0, 80) : "";
return [document.documentElement.scrollWidth, first];
"""


def bad_pages(site):
    """Pages that scroll sideways on a laptop or a telephone, or have white boxes in the dark."""
    found = []
    with driver.browsing(1366, 800) as browser:
        for width in (1366, 390):
            browser.resize(width, 800)
            for page in sorted(site.rglob("*.html")):
                browser.open(page.as_uri())
                for theme in ("light", "dark"):
                    dark = theme == "dark" and width == 1366  # colours do not depend on the width
                    wide, bright = browser.run(LOOK, theme, dark)
                    where = f"{page.relative_to(site)} at {width} pixels, {theme}"
                    found += [f"{where}: {wide} wide"] * (wide > width)
                    found += [f"{where}: {bright}"] * bool(bright)
    return found


def test_the_gallery_has_every_figure_with_its_code(tmp_path):
    from figures.build import names

    page = generate.gallery(tmp_path)
    for name in names():
        assert f"    python -m figures {name}\n" in page
        committed = ROOT / "figures" / "gallery" / f"{name}.png"
        assert (tmp_path / committed.name).exists() == committed.exists()
    assert page.count("Made for ") == len(names())
    assert "Made for one column (3.4 × 2.6 inches) of a paper" in page
    assert page.count("def draw(") == page.count("def compute(") == len(names())


@pytest.mark.parametrize("missing", [[], ["torch"]])
def test_libraries_that_are_missing_are_known(missing, monkeypatch):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert generate.missing(["sys", *missing]) == missing
