"""The report section of the embedding of the evaluated split."""

import numpy as np

from jaxvision.report import charts, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)`; empty for a run without predictions."""
  if not run.predictions:
    return "Embedding", "", ""
  found, names = run.predictions, reading.class_names(run)
  labels = found["labels"][found["sample"]]
  places = found["embedding"].astype(float)
  series = []
  for order, label in enumerate(np.unique(labels).tolist()):
    own = np.flatnonzero(labels == label)
    colour, shape = charts.mark(order)
    series.append(
      charts.Series(
        names[label],
        {"first": places[own, 0]},
        places[own, 1],
        colour,
        shape=shape,
        rows=own.tolist(),
      )
    )
  first, second = (numbers.percent(float(e)) for e in found["embedding_shares"])
  chart = charts.Chart(
    series,
    title="Logits",
    axes={"first": f"first principal component ({first} of the variance)"},
    label=f"second component ({second})",
    kind="points",
  )
  return (
    "Embedding",
    f'<div class="charts tall">{charts.figure(chart)}</div>',
    "The logits of the examples in the table of predictions, in the plane of "
    f"their largest variance over {numbers.integer(len(found['labels']))} "
    "examples. Colour and shape are the true class; the pointer shows the "
    "picture.",
  )
