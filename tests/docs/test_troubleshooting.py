"""Every message in docs/troubleshooting.md is one that the code has."""

import ast
import errno
import os
import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
_ENTRIES = re.findall(r"^### `(.*)`\n\n(.*)$", _PAGE, re.MULTILINE)
# Of the operating system.
_OTHERS = (os.strerror(errno.EADDRINUSE),)


def _texts():
  """The texts in the code; "{}" stands for what an f-string fills in."""
  for path in (_ROOT / "jaxvision").rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
      if isinstance(node, ast.JoinedStr):
        yield "".join(
          part.value if isinstance(part, ast.Constant) else "{}"
          for part in node.values
        )
      elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


_IN_CODE = "\n".join({*_texts(), *_OTHERS})


def test_the_page_has_messages():
  headings = re.findall("^### .*$", _PAGE, re.MULTILINE)
  assert len(_ENTRIES) == len(headings) > 30
  assert len(dict(_ENTRIES)) == len(headings)


@pytest.mark.parametrize(("message", "explained"), _ENTRIES)
def test_a_message_is_in_the_code(message, explained):
  pattern = ".*".join(map(re.escape, message.split("...")))
  assert re.search(pattern, _IN_CODE), message
  assert len(explained) > 20
