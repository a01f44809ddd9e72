"""The house rules that ruff and the type checker cannot see."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    """networks, workflows, …; the top of the package is `unmist`."""
    inside = path.relative_to(ROOT / "src" / "unmist").parts
    return inside[0] if len(inside) > 1 else "unmist"


def listed(found):
    return "\n" + "\n".join(found)


def nodes(kind):
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield path, node


def place(path, node):
    return f"{name_of(path)}:{node.lineno}"


def test_files_are_short():
    """Fails if a file passes 400 lines: split it by what its parts are about."""
    long = {name_of(p): n for p in SOURCES + TESTS if (n := len(p.read_text().splitlines())) > 400}
    assert not long, listed(map(str, long.items()))


def test_functions_are_short():
    """Fails if a function passes 40 lines, or 60 where a whole network or story stands."""
    long = {}
    for path, node in nodes(FUNCTION):
        wall = 60 if room_of(path) in ("networks", "workflows") else 40
        if node.end_lineno - node.lineno + 1 > wall:
            long[place(path, node)] = node.end_lineno - node.lineno + 1
    assert not long, listed(map(str, long.items()))


def windows(size=8):
    """Every run of `size` code lines, without imports, comments, docstrings and blank lines."""
    for path, tree in TREES.items():
        skipped = set()
        for node in ast.walk(tree):
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if text or isinstance(node, ast.Import | ast.ImportFrom):
                skipped.update(range(node.lineno, node.end_lineno + 1))
        lines = [
            (number, line.strip())
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if number not in skipped and line.strip() and not line.strip().startswith("#")
        ]
        for start in range(len(lines) - size + 1):
            yield (
                f"{name_of(path)}:{lines[start][0]}",
                "\n".join(t for _, t in lines[start:][:size]),
            )


def test_little_is_copied():
    """Fails if 1 % of all windows of eight lines stand somewhere else as well."""
    places = defaultdict(list)
    for where, text in windows():
        places[text].append(where)
    copied = [found for found in places.values() if len(found) > 1]
    share = sum(map(len, copied)) / max(1, sum(map(len, places.values())))
    assert share < 0.01, f"{share:.1%} copied: {copied[:10]}"


def called(node):
    """The dotted name of what a call calls: `torch.load`, or `.load` of an expression."""
    parts, target = [], node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    parts.append(target.id if isinstance(target, ast.Name) else "")
    return ".".join(reversed(parts))


FORBIDDEN_CALLS = {
    "hasattr": "the attribute always exists, or the type is wrong",
    "eval": "text is never code",
    "exec": "text is never code",
    "compile": "text is never code",
    "__import__": "no module is named by data",
    "importlib.import_module": "no module is named by data",
    "import_module": "no module is named by data",
    "torch.load": "weights are safetensors",
    "torch.save": "weights are safetensors",
    "yaml.load": "settings are TOML",
    "os.system": "no shell",
    "torch.hub.load": "nothing is fetched and run",
    "torch.inference_mode": "gradients of the caller stay on: no_grad around the network only",
    "torch.manual_seed": "randomness is an argument: base/noise",
    "torch.seed": "randomness is an argument: base/noise",
    "np.random.seed": "randomness is an argument: base/noise",
    "random.seed": "randomness is an argument: base/noise",
    "torch.set_default_dtype": "no global numbers",
    "torch.randn": "randomness is an argument: base/noise",
    "torch.randn_like": "randomness is an argument: base/noise",
    "torch.rand": "randomness is an argument: base/noise",
    "torch.rand_like": "randomness is an argument: base/noise",
}
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "shelve",
    "marshal",
    "joblib",
    "cloudpickle",
    "yaml",
}


def is_allowed(path, node, forked):
    """The exceptions: literal names, first weights (under nn.seeded), a fork of the generator."""
    name, room = called(node), room_of(path)
    return (
        (name, room) == ("import_module", "unmist")
        or (name == "torch.randn" and room in ("nn", "networks"))
        or (name == "torch.manual_seed" and node in forked)
    )


def test_no_forbidden_calls():
    """Fails if a call that guesses, runs data as code or draws from a hidden stream comes in."""
    forked = {
        inner
        for _, block in nodes(ast.With)
        if any("fork_rng" in ast.unparse(item.context_expr) for item in block.items)
        for inner in ast.walk(block)
    }
    found = [
        f"{place(path, node)} {called(node)}: {FORBIDDEN_CALLS[called(node)]}"
        for path, node in nodes(ast.Call)
        if called(node) in FORBIDDEN_CALLS and not is_allowed(path, node, forked)
    ]
    assert not found, listed(found)


def test_no_guessing_attributes():
    """Fails if getattr has a default: a missing attribute is then a silent choice."""
    found = [place(p, n) for p, n in nodes(ast.Call) if called(n) == "getattr" and len(n.args) > 2]
    assert not found, listed(found)


def test_nothing_is_unpickled():
    """Fails if a module that unpickles is imported, or an array may hold objects."""
    found = []
    for path, node in nodes(ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names]
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {name.split(".")[0] for name in names} & FORBIDDEN_MODULES:
            found.append(place(path, node))
    for path, node in nodes(ast.keyword):
        value = node.value.value if isinstance(node.value, ast.Constant) else None
        if node.arg in ("allow_pickle", "trust_remote_code", "shell") and value is not False:
            found.append(place(path, node))
    assert not found, listed(found)


def test_only_the_faces_print():
    """Fails if the library prints, asks or shows progress by itself."""
    found = [
        place(path, node)
        for path, node in nodes(ast.Call)
        if called(node) in ("print", "input", "tqdm") and room_of(path) != "cli"
    ]
    assert not found, listed(found)


def test_no_globals():
    """Fails if a function changes its module."""
    assert [place(path, node) for path, node in nodes(ast.Global)] == []


def test_public_names_are_listed():
    """Fails if a module does not say first what it offers."""
    assert [
        name_of(path)
        for path, tree in TREES.items()
        if path.name not in ("__init__.py", "__main__.py")
        and not any(
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for node in tree.body
        )
    ] == []


def test_tests_say_when_they_fail():
    """Fails if a test does not state what would make it fail (docstring or first comment)."""
    silent = []
    for path in TESTS:
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, FUNCTION) and node.name.startswith("test_"):
                above = lines[node.lineno - 2].strip() if node.lineno > 1 else ""
                first = lines[node.body[0].lineno - 2].strip()
                if not ast.get_docstring(node) and "#" not in (above[:1], first[:1]):
                    silent.append(place(path, node))
    assert not silent, listed(silent)


def tracked():
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    for name in listing.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path != Path(__file__):
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def test_no_places_of_one_machine():
    """Fails if a tracked file names a folder of somebody's machine or a package index."""
    folders = r"(?<![\w.~-])/(work|root|home|tmp|Users)/"
    hosts = r"pypi\.org|pythonhosted|download\.pytorch|registry\.npmjs|anaconda\.org|index-url"
    wrong = re.compile(f"{folders}|{hosts}")
    found = [f"{name}: {match[0]}" for name, text in tracked() if (match := wrong.search(text))]
    assert not found, listed(found)


def installed():
    return {plain_name(found.metadata["Name"]) for found in distributions()}


def test_nothing_unwanted_is_installed():
    """Fails if something pulls in torchvision and its kin, which break torch's small builds."""
    unwanted = r"torchvision|torchaudio|opencv-.*|timm|lpips|clean-fid|torch-fidelity|pytorch-fid"
    if torch.version.cuda is None:
        unwanted += r"|nvidia-(?!ml).*|triton|cuda-.*"
    assert [name for name in installed() if re.fullmatch(unwanted, name)] == []


def plain_name(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements):
    """All packages these need on this machine, as far as they are installed, extras included."""
    names, here, waiting = set(), installed(), [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = plain_name(requirement.name)
        if name not in names and name in here:
            names.add(name)
            for line in distribution(name).requires or []:
                inner = Requirement(line)
                extras = ["", *requirement.extras]
                if not inner.marker or any(inner.marker.evaluate({"extra": e}) for e in extras):
                    waiting.append(inner)
    return names


def test_everything_is_pinned():
    """Fails if ./go or ./check would install something whose version is not in the lock."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [re.fullmatch(r"([A-Za-z0-9_.-]+)==([\w.]+)", line) for line in lines if line[:1] != "#"]
    assert all(pins), "a line that is no pin"
    names = {plain_name(match[1]) for match in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [line for group in groups for line in group]
    assert {plain_name(Requirement(line).name) for line in wanted} - names == set()
    of_a_gpu = () if torch.version.cuda is None else ("nvidia", "triton", "cuda")
    assert {name for name in closure(wanted) - names if not name.startswith(of_a_gpu)} == set()
    assert not [name for name in names if name.startswith(("nvidia", "triton", "opencv"))]
    assert "torchvision" not in names


def test_import_is_light():
    """Fails if `import unmist` loads what only a face, a test or a benchmark needs."""
    code = "import sys, unmist; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torchvision", "transformers", "diffusers", "fastapi", "gradio", "matplotlib", "scipy"}
    heavy |= {"sklearn", "pandas", "cyclopts", "rich", "torchmetrics", "IPython", "onnxruntime"}
    assert heavy & set(done.stdout.split()) == set()
