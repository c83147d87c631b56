"""What holds for the repository as a whole, whatever a module computes."""

import ast
import dataclasses
import enum
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["rdp", "solvers", "neural", "figures"]  # each may import those before it
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def dependencies(*extras: str) -> set[str]:
    """Names of the required distributions, which are also their import names."""
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return {re.match(r"[\w-]+", text)[0] for text in texts}


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a module imports by `from`, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_imports_follow_the_layers():
    """The layer of every module, and that there is no cycle: see pyproject.toml."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_a_module_is_short_enough_to_be_read_in_one_sitting():
    folders = [*PACKAGES, "benchmarks", "docs", "tests"]
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lines = {str(path): len(path.read_text().splitlines()) for path in paths}
    assert {path: count for path, count in lines.items() if count > 450} == {}


def test_a_kernel_needs_few_names_of_the_workspace():
    homes = {"solvers._barrier.workspace", "solvers._barrier.slots"}
    paths = (ROOT / "solvers").rglob("*.py")
    needed = {str(path): sum(home in homes for home, _ in imports(path)) for path in paths}
    assert max(needed.values()) > 0
    assert {path: count for path, count in needed.items() if count > 10} == {}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules present after `statement` ran in a fresh interpreter."""
    code = f"{statement}; import json, sys; print(json.dumps([*sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    return {name.split(".")[0] for name in json.loads(run.stdout)}


def test_import_rdp_loads_numpy_only():
    loaded = loaded_by("import rdp") & dependencies("neural")
    assert loaded == {"numpy"}


def test_import_solvers_leaves_the_heavy_libraries_to_those_who_use_them():
    heavy = {"av", "clarabel", "cvxpy", "matplotlib", "numba", "pandas", "sympy", "torch"}
    assert not loaded_by("import solvers") & heavy


def test_training_needs_torch_numpy_scipy_and_tqdm_only():
    pytest.importorskip("torch")  # which brings sympy
    absent = dependencies() - {"numpy", "scipy", "sympy", "tqdm"}
    # None in sys.modules makes an import fail as if the library was not installed.
    block = f"import sys; sys.modules.update(dict.fromkeys({sorted(absent)!r}))"
    loaded_by(f"{block}; import neural.training.loop")


def public_callables() -> Iterator[tuple[str, Callable]]:
    """Yield what rdp and solvers export, and the public methods of exported classes."""
    for package in ("rdp", "solvers"):
        module = importlib.import_module(package)
        for name in module.__all__:
            exported = getattr(module, name)
            if callable(exported):
                yield f"{package}.{name}", exported
            if inspect.isclass(exported) and exported.__module__.split(".")[0] in PACKAGES:
                for method, value in vars(exported).items():
                    function = getattr(value, "__func__", value)
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{package}.{name}.{method}", function


def parameters(exported: Callable) -> set[str]:
    if dataclasses.is_dataclass(exported):
        return {field.name for field in dataclasses.fields(exported) if field.init}
    if inspect.isclass(exported) and issubclass(exported, (Exception, enum.Enum)):
        return set()  # the library makes it, not its users
    return set(inspect.signature(exported).parameters) - {"self", "cls"}


def documented(docstring: str) -> set[str]:
    """Names described under Parameters or Attributes of a numpydoc docstring."""
    sections = re.split(r"^(\w[\w ]*)\n-{3,}\n", docstring, flags=re.MULTILINE)
    titled = zip(sections[1::2], sections[2::2], strict=True)
    return {
        name.strip(" *")
        for title, text in titled
        if title in ("Parameters", "Other Parameters", "Attributes")
        for line in re.findall(r"^(\*{0,2}\w[\w, *]*?)\s*:", text, flags=re.MULTILINE)
        for name in line.split(",")
    }


PUBLIC = dict(public_callables())


@pytest.mark.parametrize(("name", "exported"), PUBLIC.items(), ids=PUBLIC)
def test_every_public_parameter_is_documented(name, exported):
    missing = parameters(exported) - documented(inspect.getdoc(exported) or "")
    assert not missing, f"{name}: undocumented {sorted(missing)}"


def test_documented_reads_numpydoc():
    parameters = "Parameters\n----------\na, b : int\n    Two: numbers.\n*args : float\n"
    assert documented(f"Do.\n\n{parameters}\nReturns\n-------\nc : int") == {"a", "b", "args"}


def own_files() -> Iterator[Path]:
    """Yield the files of the repository, without what is made from them and environments."""
    made = {"__pycache__", "build", "dist", ".git", ".hypothesis", ".ipynb_checkpoints"}
    made |= {config.parent.name for config in ROOT.glob("*/pyvenv.cfg")}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not any(part in made or part.endswith("_cache") for part in parts):
            yield path


def test_no_package_index_is_named():
    # Whoever installs decides where packages come from.
    hosts = [f"{name}.org".encode() for name in ("pypi", "pythonhosted", "download.pytorch")]
    naming = [path for path in own_files() if any(host in path.read_bytes() for host in hosts)]
    assert naming == []


def test_the_licences_of_the_data_go_with_the_package():
    """Texts about the origin of data are licence files, and the expression names their licences."""
    texts = {str(path.relative_to(ROOT)): path for path in ROOT.glob("*/data/ATTRIBUTION.md")}
    assert {"LICENSE", *texts} == set(PROJECT["license-files"])
    names = {"Attribution 3.0": "CC-BY-3.0", "Attribution-ShareAlike 3.0": "CC-BY-SA-3.0"}
    content = " ".join(" ".join(path.read_text().split()) for path in texts.values())
    found = {names[name] for name in re.findall(r"Creative Commons (Attribution\S* \S+)", content)}
    assert PROJECT["license"] == " AND ".join(["MIT", *sorted(found)])


def test_one_version_everywhere():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_tested_versions_satisfy_what_is_required():
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    for text in sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]):
        required = Requirement(text)
        assert pins[required.name.lower()] in required.specifier, text


def test_the_tested_versions_have_digests():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    text = (ROOT / "constraints-hashed.txt").read_text().replace(" \\\n", " ")
    assert "://" not in text  # it says nothing about where the files come from
    hashed = {}
    for line in text.splitlines():
        required, *digests = line.split(" --hash=")[0], *re.findall(r"sha256:[0-9a-f]{64}\b", line)
        assert digests, line
        requirement = Requirement(required.strip())
        hashed[canonicalize_name(requirement.name)] = str(requirement.specifier)
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            pins[canonicalize_name(name)] = f"=={version}"
    own = {
        canonicalize_name(Requirement(text).name)
        for text in sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])
    }
    assert own <= hashed.keys()
    assert {name: pin for name, pin in hashed.items() if name in pins} == {
        name: pin for name, pin in pins.items() if name in hashed
    }
    assert len(hashed.keys() & pins.keys()) > 0.9 * len(pins)


@pytest.mark.parametrize("command", ["grid", "train", "evaluate"])
def test_neural_without_torch_says_what_to_install(command):
    line = "neural needs torch; install the extra: pip install '.[neural]' in a clone"
    block = "import sys; sys.modules['torch'] = None"
    more = ", '--budget', '9m'" if command == "grid" else ""
    for code, status in (
        (f"from neural.__main__ import main; sys.exit(main(['{command}', 'x.toml'{more}]))", 2),
        ("import neural; neural.load_codec", 1),
        ("from neural.__main__ import main; main(['--help'])", 0),
    ):
        run = subprocess.run(
            [sys.executable, "-c", f"{block}; {code}"], cwd=ROOT, capture_output=True, text=True
        )
        assert run.returncode == status, run.stderr
        assert status == 0 or run.stderr.splitlines()[-1].endswith(line)
        assert status != 2 or run.stderr == f"{line}\n"
