"""Planted faults: each mutant of a module differs in one place, and some test must mind.

    python tests/helpers/mutants.py

prints every mutant of the gate, and the ones that no law kills.
"""

import ast
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

COMPARED = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip


def changed(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    """Every change of one node: in words, and what makes it of the node."""
    match node:
        case ast.Compare():
            yield from compared(node)
        case ast.BoolOp():
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield "and <-> or", lambda n: ast.BoolOp(other(), n.values)
            for k in range(len(node.values)):
                yield f"only part {k}", lambda n, k=k: n.values[k]
        case ast.UnaryOp(op=ast.Not()):
            yield "not taken out", lambda n: n.operand
        case ast.Attribute(ctx=ast.Load()) if node.attr in SWAPPED:
            other = SWAPPED[node.attr]
            yield f".{other}", lambda n: ast.Attribute(n.value, other, ast.Load())
        case ast.Constant():
            yield from constants(node.value)
        case ast.stmt():
            yield from statements(node)


def constants(value: object) -> Iterator[tuple[str, Callable]]:
    if isinstance(value, str) and value:
        yield f"{value[:20]!r} emptied", lambda n: ast.Constant("")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield f"{value} + 1", lambda n: ast.Constant(n.value + 1)
        yield f"{value} - 1", lambda n: ast.Constant(n.value - 1)


def statements(node: ast.stmt) -> Iterator[tuple[str, Callable]]:
    match node:
        case ast.If():
            yield "if True", lambda n: ast.If(ast.Constant(True), n.body, n.orelse)
            yield "if False", lambda n: ast.If(ast.Constant(False), n.body, n.orelse)
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()) | ast.Raise():
            yield "taken out", lambda n: ast.Pass()
        case ast.Return(value=ast.expr()):
            yield "return None", lambda n: ast.Return(ast.Constant(None))


SWAPPED = {"above": "seconds", "seconds": "above", "version": "detector", "detector": "version",
           "score": "seconds", "picture": "version"}  # fmt: skip


def compared(node: ast.Compare) -> Iterator[tuple[str, Callable]]:
    for k, op in enumerate(node.ops):
        for other in COMPARED[type(op)]:

            def swap(n, k=k, other=other):
                n.ops[k] = other()
                return n

            yield f"{type(op).__name__} -> {other.__name__}", swap
    for value in (True, False):
        yield f"always {value}", lambda n, value=value: ast.Constant(value)


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module that differs from the source in one place, named by line and change."""
    tree = ast.parse(source)
    kept = untouched(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in kept:
            continue
        for words, change in changed(node):
            yield f"{getattr(node, 'lineno', 0)}: {words}", with_change(source, number, change)


def untouched(tree: ast.Module) -> set[int]:
    """Docstrings, annotations and the list of names: no change there changes what is done."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        listed = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if text or listed:
            parts = [node.value]
        elif isinstance(node, ast.AnnAssign | ast.arg):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns]
        elif isinstance(node, ast.ClassDef):
            parts = list(node.decorator_list)
        found |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    return found


def with_change(source: str, number: int, change: Callable) -> ast.Module:
    """The source's tree in which the number-th node of the walk is changed."""
    fresh = ast.parse(source)
    target = next(node for k, node in enumerate(ast.walk(fresh)) if k == number)

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST):
            if node is not target:
                return self.generic_visit(node)
            return ast.fix_missing_locations(ast.copy_location(change(node), node))

    return Put().visit(fresh)


def module(tree: ast.Module, like: str) -> types.ModuleType:
    """The tree as a module that is known by nobody else. Raises what its import raises."""
    made = types.ModuleType(f"mutant_{like}")
    sys.modules[made.__name__] = made  # dataclasses look their module up
    exec(compile(tree, like, "exec"), vars(made))
    return made


def survivors(path: Path, laws: Callable[[types.ModuleType], None]) -> tuple[int, list[str]]:
    """How many mutants a module has, and those that no law kills."""
    alive, count = [], 0
    laws(module(ast.parse(path.read_text()), path.stem))  # the laws hold of the thing itself
    for name, tree in mutants(path.read_text()):
        count += 1
        try:
            laws(module(tree, path.stem))
        except Exception:  # dead, however it died
            continue
        alive.append(name)
    return count, alive


if __name__ == "__main__":
    import gate_laws
    import policy_laws

    import unmist

    guard = Path(unmist.__file__).parent / "guard"
    for name, rules in (("verdict", gate_laws.laws), ("policy", policy_laws.laws)):
        number, left = survivors(guard / f"{name}.py", rules)
        print(f"{name}: {number} mutants, {number - len(left)} killed", *left, sep="\n  ")
