"""Pages of the report about a student and its teachers.

The outputs of an evaluation are (b, 2, k): the logits of the student, and of
the teachers together. Without teachers they are (b, k).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxvision import metrics
from jaxvision.metrics import agreement
from jaxvision.runs import pages
from jaxvision.tasks import supervised
from jaxvision.tasks.contract import Artifacts, Batch

Tree = Any


def rank(
  labelled: bool, outputs: np.ndarray, batch: Batch
) -> tuple[np.ndarray, np.ndarray]:
  """Confident mistakes, or without labels confident disagreements.

  The answers are (b, 2), the classes of the student and of the teachers; (b, 1)
  without teachers.
  """
  outputs = outputs.reshape(len(outputs), -1, outputs.shape[-1])
  classes = np.where(np.isfinite(outputs), outputs, -np.inf).argmax(-1)
  wanted = batch["label"] if labelled else classes[:, -1]
  scores, _ = supervised.rank_mistakes(outputs[:, 0], {"label": wanted})
  return scores, classes


def artifacts(
  labelled: bool,
  evaluation: metrics.Evaluation,
  class_names: Sequence[str],
  ids: Sequence[str],
) -> Artifacts:
  """The mistakes of the student, and its agreement with the teachers."""
  sums, arrays, found = evaluation.sums, {}, []
  if labelled:
    arrays = dict(
      supervised.show_mistakes(_of_student(evaluation), class_names, ids).arrays
    )
  if "by_class" in sums:
    by_class = agreement.per_class(sums)
    arrays |= {"teacher_classes": by_class["chosen"]}
    arrays |= {"agreement": by_class["agreement"]}
    found.append(_agreement_page(sums, by_class, class_names))
    if labelled:
      taught = [each.answer[1] for each in evaluation.examples]
      arrays |= {"mistake_teachers": np.asarray(taught, np.int64)}
    elif evaluation.examples:
      found.append(_disagreements_page(evaluation, class_names, ids))
  return Artifacts(arrays=arrays, pages=found)


def _of_student(evaluation: metrics.Evaluation) -> metrics.Evaluation:
  """The evaluation with the answers of the student alone."""
  examples = tuple(
    dataclasses.replace(each, answer=each.answer[0])
    for each in evaluation.examples
  )
  return dataclasses.replace(evaluation, examples=examples)


def _agreement_page(
  sums: Tree, by_class: Tree, class_names: Sequence[str]
) -> pages.Page:
  rows = [
    [name, int(count), None if np.isnan(share) else float(share)]
    for name, count, share in zip(
      class_names, by_class["chosen"], by_class["agreement"], strict=True
    )
  ]
  columns = {"class": "text", "examples": "integer", "agreement": "percent"}
  return pages.Page(
    title="Agreement with the teacher",
    note="The examples are counted by the class that the teacher gives them. "
    "The agreement is the share of them to which the student gives the same "
    f"class.{_right(sums)}",
    table=pages.Table(columns=columns, rows=rows),
  )


def _right(sums: Tree) -> str:
  """A sentence on who is right in how many examples; "" without labels."""
  if "right" not in sums:
    return ""
  both, total = int(sums["right"]["both"]), int(sums["count"])
  student, teacher = (
    int(sums[name]) - both for name in ("top1", "teacher_top1")
  )
  neither = total - both - student - teacher
  return (
    f" Of {total:,} examples, both are right in {both:,}, only the teacher in "
    f"{teacher:,}, only the student in {student:,}, and neither in {neither:,}."
  )


def _disagreements_page(
  evaluation: metrics.Evaluation,
  class_names: Sequence[str],
  ids: Sequence[str],
) -> pages.Page:
  def caption(each: metrics.Example, name: str) -> str:
    student, teacher = (class_names[i] for i in each.answer)
    return f"student: {student}\nteacher: {teacher}\n{name}"

  return pages.Page(
    title="Disagreements",
    note="The images for which the student gives another class than the "
    "teacher, with the highest probability.",
    images=np.stack([each.image for each in evaluation.examples]),
    captions=list(map(caption, evaluation.examples, ids)),
  )
