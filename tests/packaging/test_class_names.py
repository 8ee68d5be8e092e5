import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *ROOT.glob("src/oodguard/*.py"),
    *(
        path
        for name in ("client", "models", "service", "sources", "training")
        for path in (ROOT / name).rglob("*.py")
    ),
]


def test_public_class_names_are_unique() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert "Guard" in places
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
