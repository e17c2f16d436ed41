"""Output in a notebook: a line that is renewed, and pages inside the cell.

A notebook is a session of IPython with a kernel, as in Jupyter, VS Code and
Colab. IPython is not imported elsewhere.
"""

import html
import pathlib
import sys
from collections.abc import Callable

_LINE = (
  '<div><progress value="{done}" max="{total}" '
  'aria-label="steps of the training"></progress> {text}</div>'
)
# Scripts of the page run, and it cannot read the notebook.
_PAGE = (
  '<iframe srcdoc="{page}" title="report of {title}" width="100%" '
  'height="{height}" sandbox="allow-scripts" style="border:1px solid #8888">'
  "</iframe>"
)


def is_running() -> bool:
  """Whether this code runs in a cell of a notebook."""
  if "IPython" not in sys.modules:
    return False
  from IPython import get_ipython

  return getattr(get_ipython(), "kernel", None) is not None


def open_line() -> Callable[[int, int, str], None]:
  """Returns show(done, total, text), which renews one line of the cell."""
  from IPython import display

  handle = display.display(display.HTML(""), display_id=True)

  def show(done: int, total: int, text: str) -> None:
    line = _LINE.format(done=done, total=total, text=html.escape(text))
    handle.update(display.HTML(line))

  return show


def show_page(page: pathlib.Path, *, height: int = 640) -> None:
  """Shows a self-contained HTML page below the cell, in a frame.

  Args:
    page: the file, in UTF-8.
    height: of the frame, in pixels.
  """
  from IPython import display

  frame = _PAGE.format(
    page=html.escape(page.read_text("utf-8")),
    title=html.escape(str(page.parent)),
    height=height,
  )
  display.display(
    {"text/html": frame, "text/plain": f"report: {page}"}, raw=True
  )
