"""Nothing that is read can make this program execute it: no pickles, no eval, no shell, in any source file.

Data come from elsewhere: stores, states, weights, word vectors, settings, records of a search, messages of a decoder
that a hostile video may have taken over.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("attn", "jobs", "tune", "bench") for path in (ROOT / folder).rglob("*.py"))
MODULES = {"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve", "_pickle"}
"""Modules whose way of reading executes what it reads."""
HARMLESS = {"UnpicklingError"}
"""Names of them that read nothing: the error of those who refuse."""
CALLS = {
    **dict.fromkeys(("eval", "exec", "__import__", "os.system", "os.popen"), "executes a text"),
    **dict.fromkeys(("yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle"), "makes objects"),
}


def faults(source: str) -> list[str]:
    """What a source file does that executes data, a line each."""
    tree = ast.parse(source)
    return [f"{node.lineno}: {why}" for node in ast.walk(tree) if (why := fault(node)) is not None]  # type: ignore[attr-defined]


def fault(node: ast.AST) -> str | None:
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
        names = {alias.name for alias in node.names} - HARMLESS
        return f"imports {', '.join(sorted(names))} of {node.module}" if names else None
    if isinstance(node, ast.Import):
        named = [alias for alias in node.names if alias.name.partition(".")[0] in MODULES and alias.asname]
        return f"hides {named[0].name} behind a name" if named else None
    if isinstance(node, ast.Attribute):
        return used(node)
    return called(node) if isinstance(node, ast.Call) else None


def used(node: ast.Attribute) -> str | None:
    name = ast.unparse(node)
    inside = name.partition(".")[0] in MODULES and node.attr not in HARMLESS
    return f"{name} executes what it reads" if inside else None


def called(node: ast.Call) -> str | None:
    name, given = ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in CALLS:
        return f"{name} {CALLS[name]}"
    if name.endswith("torch.load") and name != "safetensors.torch.load" and given.get("weights_only") != "True":
        return f"{name} without weights_only=True"
    if given.get("shell", "False") != "False":
        return f"{name} runs a shell"
    if given.get("allow_pickle", "False") != "False":
        return f"{name} reads pickles"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_is_executed(path):
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\nvalue = pickle.load(file)",
        "import pickle\nvalue = pickle.Unpickler(file).load()",
        "import pickle as p\np.loads(data)",
        "from pickle import loads",
        "from ray.cloudpickle import loads\nimport joblib\njoblib.load(path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trusted)",
        "numpy.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "eval(text)",
        "yaml.load(text, Loader)",
        "os.system(text)",
    ],
)
def test_what_would_execute_data_is_seen(source):
    assert len(faults(source)) >= 1


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\ntry:\n    load()\nexcept pickle.UnpicklingError:\n    pass",
        "torch.load(path, weights_only=True)",
        "safetensors.torch.load(data)",
        "numpy.load(path)",
        "network.eval()",
        "json.loads(text)",
        "subprocess.run(command, shell=False)",
    ],
)
def test_what_executes_nothing_is_let_pass(source):
    assert faults(source) == []


def test_every_source_is_looked_at():
    assert {"attn", "jobs", "tune", "bench"} == {path.relative_to(ROOT).parts[0] for path in SOURCES}
    assert len(SOURCES) > 100
