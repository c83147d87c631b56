"""Run the Python examples of the README."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def examples() -> list[str]:
    """Return the text of each Python block, in order."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    for number, example in enumerate(examples(), start=1):
        print(f"README example {number}:")
        exec(compile(example, f"README.md, example {number}", "exec"), {"__name__": "__main__"})
