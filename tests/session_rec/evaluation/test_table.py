"""What a person sees of an evaluation fits into a terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from session_rec.evaluation.cost import Cost
from session_rec.evaluation.table import evaluation_table
from session_rec.toy import toy_evaluation, toy_recommender


@pytest.mark.parametrize("costs", [[], [Cost(12.34, 99.99, 10.25)]], ids=["quality", "cost"])
def test_no_figure_is_cut_off_in_80_columns(costs):
    row = toy_evaluation(toy_recommender("fig fig pear"), "pear fig", name="session-popularity")
    row = replace(
        row,
        metrics=dict.fromkeys(row.metrics, 0.71234),
        intervals=dict.fromkeys(row.intervals, (0.5, 0.75)),
        coverage=0.988,
        shown_popularity=0.274,
    )
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(evaluation_table([row], costs))
    text = console.export_text()
    assert "…" not in text
    assert "session-popularity" in text and "71.23 ±12.50" in text and "NDCG@20" in text
    assert ("12.34" in text and "10.25" in text) if costs else ("98.8" in text and "27.4" in text)
