"""An image's key: the same as long as the image would be, and another one as soon as it would not."""

from pathlib import Path

import pytest

from local_images import BY_NAME, OPERATOR, Recipe

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with all that the operator's image is made from."""
    for name in (OPERATOR.dockerfile, *OPERATOR.inputs):
        path = tmp_path / name
        if path.name == "src":
            path = path / "package" / "module.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    return tmp_path


def test_the_key_stays_while_nothing_changes(tree: Path) -> None:
    before = OPERATOR.key(tree)

    (tree / "docs").mkdir()
    (tree / "operator/src/package/__pycache__").mkdir()
    (tree / "operator/src/package/__pycache__/module.pyc").write_text("compiled")

    assert OPERATOR.key(tree) == before


@pytest.mark.parametrize("name", ["operator/Dockerfile", "requirements/operator.txt", "crds/src/package/module.py"])
def test_the_key_changes_with_every_input(tree: Path, name: str) -> None:
    before = OPERATOR.key(tree)

    (tree / name).write_text("other content")

    assert OPERATOR.key(tree) != before


def test_the_key_changes_when_a_file_comes_or_is_renamed(tree: Path) -> None:
    first = OPERATOR.key(tree)
    (tree / "crds/src/package/new.py").write_text("content")
    second = OPERATOR.key(tree)
    (tree / "crds/src/package/new.py").rename(tree / "crds/src/package/newer.py")

    assert len({first, second, OPERATOR.key(tree)}) == 3


@pytest.mark.parametrize("recipe", BY_NAME.values(), ids=BY_NAME.keys())
def test_what_a_dockerfile_copies_is_part_of_the_key(recipe: Recipe) -> None:
    lines = (ROOT / recipe.dockerfile).read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]

    assert {name for names in copies for name in names} == set(recipe.inputs)
