"""Report sections on the origin of a run: config, environment, commands."""

import shlex
from collections.abc import Mapping
from typing import Any

from jaxvision.configs import default
from jaxvision.report import html, measures, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# Columns of the table of starts; other fields are shown once, with changes.
_STARTS = ("started", "step", "devices", "hostname", "commit", "command")


def parts(run: Run) -> list[tuple[str, str, str]]:
  """The sections `(title, HTML, note)` that make the run reproducible."""
  overrides = (
    f"Marked ▸: {len(run.overrides)} overrides of the recipe. "
    if run.overrides
    else "There are no overrides. "
  ) + "Marked •: the value of the recipe differs from the default."
  return [
    ("Config", _config(run), f"Recipe {run.recipe}. {overrides}"),
    ("Environment", _environment(run), ""),
    (
      "Commands",
      _commands(run),
      "A click selects the complete command.",
    ),
  ]


def train_command(run: Run, *, workdir: str) -> str:
  """The shell command that trains with this run's config in `workdir`."""
  overfit = [f"--overfit={run.overfit}"] if run.overfit else []
  return recipe_command(
    run.recipe, run.overrides, "--workdir", workdir, *overfit
  )


def recipe_command(
  recipe: str, overrides: Mapping[str, Any], *options: str
) -> str:
  """The shell command that trains a recipe with overrides and options."""
  flags = [
    f"--config.{key}={_literal(value)}"
    for key, value in reading.flatten(overrides).items()
  ]
  command = ["jaxvision", "train", "--config", recipe, *options]
  return " \\\n  ".join([shlex.join(command), *map(shlex.quote, flags)])


def _literal(value: Any) -> str:
  # JSON stores tuples as lists; config flags need tuples.
  if isinstance(value, list):
    items = [repr(v) if isinstance(v, str) else _literal(v) for v in value]
    return f"({', '.join(items)}{',' * (len(items) == 1)})"
  return str(value)


def _config(run: Run) -> str:
  marked = reading.flatten(run.overrides)
  usual = reading.flatten(default.get_config().to_dict())
  groups = {
    name: {name: value}
    for name, value in run.config.items()
    if isinstance(value, Mapping)
  }
  single = {k: v for k, v in run.config.items() if k not in groups}
  groups = {"run": single, **groups} if single else groups
  cards = "".join(
    _card(name, reading.flatten(group), marked, usual)
    for name, group in groups.items()
  )
  # The stylesheet hides the other rows: it needs no script.
  return (
    '<p class="controls"><label><input type="checkbox" class="differing"> only '
    "what differs from the defaults</label></p>"
    f'<div class="config">{cards}</div>'
  )


def _card(
  name: str,
  keys: Mapping[str, Any],
  marked: Mapping[str, Any],
  usual: Mapping[str, Any],
) -> str:
  rows = "".join(
    _row(key, value, name=name, marked=marked, usual=usual)
    for key, value in keys.items()
  )
  return (
    f'<div class="card"><h3>{html.escape(name)}</h3>'
    f"<table><tbody>{rows}</tbody></table></div>"
  )


def _row(
  key: str,
  value: Any,
  *,
  name: str,
  marked: Mapping[str, Any],
  usual: Mapping[str, Any],
) -> str:
  differs = key not in usual or usual[key] != value
  given = any(f"{key}.".startswith(f"{each}.") for each in marked)
  kind = "override" if given else "changed" if differs else ""
  sign = {"override": "▸ ", "changed": "• "}.get(kind, "")
  default_value = _shown(usual[key]) if key in usual else "none"
  usually = f"<small>default: {html.escape(default_value)}</small>" * differs
  return (
    f"<tr class='{kind}'>"
    f"<td>{sign}{html.escape(key.removeprefix(f'{name}.'))}</td>"
    f"<td>{html.escape(_shown(value))}{usually}</td></tr>"
  )


def _shown(value: Any) -> str:
  return _literal(value) or "''"


def _environment(run: Run) -> str:
  if not run.environment:
    return ""
  rows = [
    [_text(entry.get(field)) for field in _STARTS] for entry in run.environment
  ]
  starts = html.table(dict.fromkeys(_STARTS, str), rows)
  names = dict.fromkeys(name for entry in run.environment for name in entry)
  versions = html.tiles(
    {name: _version(run, name) for name in names if name not in _STARTS}
  )
  return f'<div class="card mono starts">{starts}</div>{versions}'


def _version(run: Run, name: str) -> str:
  versions = [str(e[name]) for e in run.environment if e.get(name)]
  return " → ".join(dict.fromkeys(versions))


def _text(value: Any) -> str:
  return numbers.NOTHING if value is None else str(value)


def _commands(run: Run) -> str:
  workdir = str(run.workdir)
  commit = next((e["commit"] for e in run.environment if e.get("commit")), "")
  quoted = shlex.quote(workdir)
  commands = {
    "Reproduce in a new folder": _checkout(commit)
    + train_command(run, workdir=f"{workdir}-again"),
    "Continue from its last checkpoint": train_command(run, workdir=workdir),
    "Evaluate": f"jaxvision evaluate --workdir {quoted}{_split(run)}",
    **_uses(run, quoted),
  }
  cards = "".join(
    f'<div class="card"><h3>{html.escape(title)}</h3>'
    f"<pre>{html.escape(command)}</pre></div>"
    for title, command in commands.items()
  )
  return f'<div class="commands">{cards}</div>'


def _split(run: Run) -> str:
  """The option for a run without a test split; "" with one."""
  data = run.config.get("data", {})
  if data.get("test", "test"):
    return ""
  validated = data.get("validation") or data.get("folds")
  return f" --split {'validation' if validated else 'train'}"


def _uses(run: Run, quoted: str) -> dict[str, str]:
  """The commands that apply the network; a generator makes images."""
  if measures.task(run) == "adversarial":
    made = f"jaxvision generate generated.npz --workdir {quoted}"
    return {"Generate": f"{made} --data IMAGES"}
  return {"Predict": f"jaxvision predict --workdir {quoted} IMAGE..."}


def _checkout(commit: str) -> str:
  """The command that checks out a commit; "+" marks uncommitted changes."""
  if not commit:
    return ""
  changed = "  # plus uncommitted changes" * commit.endswith("+")
  return f"git checkout {shlex.quote(commit.rstrip('+'))}{changed}\n"
