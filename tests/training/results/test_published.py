"""Published figures."""

import re

from merit.training.results.published import published_figures


def test_every_published_figure_carries_its_source():
    figures = published_figures()
    rows = figures[figures["metric"] == "auroc"].to_dict("records")
    assert len(rows) > 100
    for row in rows:
        assert re.search(r"arXiv \d{4}\.\d{5}|^[\w-]+/[\w-]+ on GitHub$", row["source"]), row
        assert row["trained_on"]
        assert 0.5 <= row["value"] <= 1
