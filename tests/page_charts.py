"""The charts of a page, as their scripts read them."""

import json
import re

import parsed_page


def of(page: parsed_page.Page) -> dict[str, dict]:
  """{title: content} of the charts of a page, in its order."""
  found = re.findall(
    r'<figure class="chart" role="group" aria-label="([^"]*)">.*?'
    r'<script type="application/json">(.*?)</script></figure>',
    page.source,
    re.DOTALL,
  )
  return {title: json.loads(content) for title, content in found}
