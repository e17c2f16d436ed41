"""The pages of all claims, from the records of their scripts.

  python experiments/papers/gallery.py              # docs/claims.md
  python experiments/papers/gallery.py page.html    # a page with its pictures

A record is written by the script of its claim (claims.py). How to read an
answer is the part of the script's docstring from "How to read the answer:" on.
"""

import argparse
import ast
import base64
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import claims

DOCS = claims.FOLDER.parents[1] / "docs"
_MARK = "How to read the answer:"
_HEAD = """\
# Claims

Each row is a claim of a paper or a lecture, and an experiment with a verdict:
holds, holds in part, not at this scale, or does not hold. The rule of the
verdict was written before the runs; it is in the section of the claim and in
its script. Seconds are of one run on 2 cores with other load.

`python experiments/papers/inputs.py` fetches and prepares the data, and
`make claims` measures all claims again. `python experiments/papers/gallery.py`
makes this page.
"""


def read(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Returns {name of the script: its record}, sorted by name.

  Raises:
    ValueError: a record has no script.
  """
  found = {}
  for path in sorted(folder.glob("*.json")):
    record = json.loads(path.read_text("utf-8"))
    if not (claims.FOLDER / record["script"]).exists():
      raise ValueError(
        f"{path} is of {record['script']}, which does not exist; delete it"
      )
    found[path.stem] = record
  return found


def how_to_read(record: Mapping[str, Any]) -> str:
  """The rule of a claim, from the docstring of its script, in one line.

  Raises:
    ValueError: the docstring does not say how to read the answer.
  """
  path = claims.FOLDER / record["script"]
  text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
  _, mark, rule = text.partition(_MARK)
  if not mark:
    raise ValueError(f"the docstring of {path} does not contain {_MARK!r}")
  return " ".join(rule.split())


def markdown(records: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns the text of docs/claims.md."""
  rows = [
    "| claim | source | published | ours | seeds | verdict | seconds |",
    "|---|---|---|---|---:|---|---:|",
  ]
  sections = []
  for name, each in records.items():
    cells = (
      f"[{each['sentence']}](#{name})",
      *(each[key] for key in ("source", "published", "ours")),
      each["seeds"] or "",
      f"**{each['verdict']}**",
      f"{each['seconds']:,.0f}",
    )
    rows.append(f"| {' | '.join(_cell(c) for c in cells)} |")
    sections.append(_section(name, each))
  return "\n".join([_HEAD, *rows, "", *sections])


def _section(name: str, record: Mapping[str, Any]) -> str:
  lines = [
    f"## {name}",
    "",
    f"{record['sentence']} ({record['source']})",
    "",
    f"![](../experiments/papers/results/{name}.png)",
    "",
    "```bash",
    *record["commands"],
    "```",
    "",
    f"- data: {record['data']}",
    f"- ours: {record['ours']}",
    f"- verdict: **{record['verdict']}**",
    f"- how to read it: {how_to_read(record)}",
    f"- not tested: {record['untested']}",
    "",
  ]
  return "\n".join(lines)


def _cell(value: Any) -> str:
  return str(value).replace("|", r"\|")


def page(records: Mapping[str, Mapping[str, Any]], folder: pathlib.Path) -> str:
  """Returns a page of HTML that contains its pictures.

  Args:
    records: as from `read`.
    folder: of the pictures.
  """
  from jaxvision.report import html

  counts = {
    verdict: sum(each["verdict"] == verdict for each in records.values())
    for verdict in claims.VERDICTS
  }
  head = (
    "<header><h1>Claims of papers and lectures</h1>"
    f"{html.tiles({k: str(v) for k, v in counts.items() if v})}</header>"
  )
  parts = []
  for name, each in records.items():
    picture = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
    text = {key: html.escape(value) for key, value in each.items()}
    facts = [
      ("verdict", f"<b>{text['verdict']}</b>"),
      ("ours", text["ours"]),
      ("published", text["published"] or "no number"),
      ("source", text["source"]),
      ("data", text["data"]),
      ("how to read it", html.escape(how_to_read(each))),
      ("not tested", text["untested"]),
    ]
    rows = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in facts)
    code = html.escape("\n".join(each["commands"]))
    parts.append(
      f'<section id="{name}"><h2>{text["sentence"]}</h2>'
      f'<img style="max-width:100%" alt="the measurements of {name}" '
      f'src="data:image/png;base64,{picture}">'
      f'<div class="scroll"><table>{rows}</table></div>'
      f"<pre>{code}</pre></section>"
    )
  return html.document("Claims", body=head + "\n".join(parts))


def main(arguments: Sequence[str] | None = None) -> None:
  """Writes docs/claims.md, or a page of HTML."""
  parser = argparse.ArgumentParser(description="the pages of all claims")
  parser.add_argument("page", nargs="?", type=pathlib.Path, help="a file.html")
  parser.add_argument("--results", type=pathlib.Path, default=claims.RESULTS)
  options = parser.parse_args(arguments)
  records = read(options.results)
  if options.page:
    options.page.write_text(page(records, options.results), "utf-8")
  else:
    (DOCS / "claims.md").write_text(markdown(records), "utf-8")


if __name__ == "__main__":
  main()
