"""Correlation of the values of children with those of the final stage."""

from collections.abc import Sequence

import numpy as np

from jaxvision.report import html, search_charts, significance
from jaxvision.runs.search_folder import NETWORK, Search
from jaxvision.runs.sweep_folder import Setting

NOTE = (
  "Each point is a network of the final stage that was a child of a search: "
  "its mean value as a child, and the mean and interval of the final stage. A "
  "rank correlation of 1 means that the short training orders these networks "
  "as the final training does. Networks that were selected for their value as "
  "a child lower the correlation."
)


def correlation(search: Search, settings: Sequence[Setting]) -> str:
  """A chart of the values of both stages; "" for fewer than two networks.

  Args:
    search: the search.
    settings: the networks of the final stage.
  """
  points = []
  for each in settings:
    label = each.settings[NETWORK]
    proxy = search.networks.get(label, {}).get("proxy")
    if proxy is not None:
      half = significance.interval(each.repetitions)
      points.append((label, proxy, each.mean, half))
  if len(points) < 2:
    return ""
  labels, proxies, means, halves = zip(*points, strict=True)
  chart = search_charts.draw_scatter(
    *(proxies, means, halves), labels=labels, metric=search.metric
  )
  return html.figure(
    chart,
    title="Short and final training",
    caption=html.escape(describe(proxies, means)),
  )


def describe(proxies: Sequence[float], means: Sequence[float]) -> str:
  """The rank correlations of n values as text, with their p-values."""
  from scipy import stats

  count = f"{len(proxies)} networks"
  if len(proxies) < 3 or min(np.ptp(proxies), np.ptp(means)) == 0:
    return f"{count}: too few different values for a correlation"
  spearman = stats.spearmanr(proxies, means)
  kendall = stats.kendalltau(proxies, means)
  return (
    f"{count}: Spearman {spearman.statistic:.2f} (p = {spearman.pvalue:.2g}), "
    f"Kendall {kendall.statistic:.2f} (p = {kendall.pvalue:.2g})"
  )
