"""Docstrings as Markdown: an extension of griffe, which mkdocstrings uses.

Docstrings of the package indent code and tables by two spaces. Markdown needs
four.
"""

import re
from typing import Any

import griffe

# Indented lines after an empty one, with empty lines between them.
_BLOCK = re.compile(r"(?<=\n\n)  \S.*(?:\n+  .*)*")


class LiteralBlocks(griffe.Extension):
  """Indents the literal blocks of all docstrings."""

  def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
    if obj.docstring:
      obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(docstring: str) -> str:
  """The docstring with literal blocks that are indented by four spaces."""
  return _BLOCK.sub(lambda match: _indented(match[0]), docstring)


def _indented(block: str) -> str:
  return re.sub(r"^  ", "    ", block, flags=re.MULTILINE)
