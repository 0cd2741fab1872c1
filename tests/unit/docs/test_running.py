"""How pages are run: in one shell, from top to bottom, to the first mistake."""

from pathlib import Path

import pytest

from support.snippets import run

PAGE = """# Begin

```sh
said=ahoy
```

<!-- file: greeting.yaml -->
```yaml
to: smol
```

## Go on

```sh
echo "$said $(cat greeting.yaml) smol-2"
```
```python
print("and", 1 + 1)
```

<!-- skip: it would end the world -->
```sh
exit 7
```

```text
exit 8
```
"""


def page(folder: Path, text: str) -> Path:
    made = folder / "page.md"
    made.write_text(text)
    return made


def test_blocks_share_a_shell_and_files_and_what_is_printed_is_known_by_heading(tmp_path: Path) -> None:
    told = run(page(tmp_path, PAGE), tmp_path, {}, means={"smol": "tiny"})
    assert told == {"Begin": "", "Go on": "ahoy to: tiny smol-2\nand 2\n"}


@pytest.mark.parametrize("broken", ["cat nowhere.yaml", "false | cat", 'echo "$never_said"'])
def test_a_command_that_fails_is_named_by_its_place(tmp_path: Path, broken: str) -> None:
    text = PAGE.replace("said=ahoy", f"echo first\n{broken}")
    with pytest.raises(AssertionError, match=r"page\.md:3 ended with 1:\necho first"):
        run(page(tmp_path, text), tmp_path, {}, means={})
