"""What importing costs, and which part may know of which. Each look is taken in a process of its own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spartito

SOURCE = Path(spartito.__file__).parent
HEAVY = "torch lightning onnx onnxruntime partitura verovio matplotlib scipy mir_eval pretty_midi symusic".split()
INFERENCE = "audio analysis notes models render score style".split()  # evaluation may ask how labels are made


def modules_after(program: str) -> set[str]:
    program += "\nimport sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def present(modules: set[str], names) -> list[str]:
    return [name for name in names if any(m == name or m.startswith(name + ".") for m in modules)]


def test_importing_spartito_imports_nothing_heavy():
    modules = modules_after("import spartito")
    assert present(modules, [*HEAVY, "numpy", "soundfile", "soxr", "typer", "rich"]) == []
    assert {m for m in modules if m.startswith("spartito")} == {"spartito"}


def test_the_command_line_starts_light():
    modules = modules_after("import spartito.cli")
    assert present(modules, [*HEAVY, "numpy", "soundfile", "spartito.training", "spartito.web"]) == []


def test_hearing_needs_no_torch_and_no_extra():
    """Everything between a recording and its notes and sound, imported with the extras out of reach."""
    program = f"""
import sys
for name in {"torch lightning onnx partitura verovio matplotlib mir_eval scipy fastapi ray".split()!r}:
    sys.modules[name] = None  # importing it raises ImportError
import spartito, spartito.cli, spartito.batch, spartito.outputs, spartito.console
for name in spartito.__all__:
    getattr(spartito, name)
"""
    modules = modules_after(program)
    assert present(modules, ["spartito.training", "spartito.web"]) == []


def test_every_public_name_exists_and_is_documented():
    for name in spartito.__all__:
        value = getattr(spartito, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), f"{name} has no docstring"
    assert set(spartito.__all__) <= set(dir(spartito))
    assert {*spartito._HOME, "__version__"} == set(spartito.__all__)


def test_what_an_editor_reads_is_what_runs():
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    shown = {alias.name: node.module for node in block.body for alias in node.names}
    assert shown == spartito._HOME


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        spartito.nothing_of_that_name  # noqa: B018


def imported(path: Path) -> set[str]:
    """Modules that a file names in any import statement, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("folder", INFERENCE)
def test_inference_never_imports_training_or_the_server(folder):
    for path in sorted((SOURCE / folder).rglob("*.py")):
        for name in imported(path):
            assert not re.match(r"spartito\.(training|web|cli|console)\b", name), f"{path} imports {name}"


def test_the_files_on_top_know_training_only_through_the_command_line():
    for path in sorted(SOURCE.glob("*.py")):
        for name in imported(path):
            allowed = path.name == "cli.py" and name.startswith("spartito.training.cli")
            assert allowed or not re.match(r"spartito\.(training|web)\b", name), f"{path} imports {name}"


def test_the_version_is_that_of_the_package():
    text = (SOURCE.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(rf'^version = "{re.escape(spartito.__version__)}"$', text, re.MULTILINE)
