"""The scatter of several objectives in a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
Preview = Callable[..., Page]
NOTE = "#pareto .nbt-pareto-note"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_front_of_a_thousand_trials_can_be_selected(preview: Preview, theme: str) -> None:
    page = preview(scenario="objectives", theme=theme, live="0")
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator(NOTE)).to_have_text(
        "40 of 980 trials on the Pareto front; 20 without a value of each objective"
    )
    legend = page.locator("#pareto .nbt-pareto-legend span")
    assert legend.all_inner_texts() == ["Pareto front", "failed", "finished"]
    stars = page.locator("#trials .nbt-star[aria-label='on the Pareto front']:visible")
    expect(stars.first).to_be_visible()
    label = page.locator("#pareto .nbt-pareto-plot").get_attribute("aria-label")
    assert label is not None
    assert label.startswith("latency over accuracy, 40 of 980 trials")
    assert page.locator("#header").get_by_text("★ Pareto front").is_visible()
    points = page.locator("#pareto .scatterlayer .trace").nth(2).locator(".point")
    expect(points).to_have_count(40)
    points.nth(3).hover(force=True)
    expect(page.locator("#pareto .nbt-pareto-tooltip")).to_contain_text("on the front")
    points.nth(3).click(force=True)
    (chosen,) = page.evaluate("preview.widgets.trials.model.get('selection')")
    assert page.evaluate("preview.kernel.trials.length") > chosen >= 0
    page.locator("#pareto").get_by_role("combobox", name="x axis").select_option("1")
    assert page.evaluate("preview.widgets.pareto.model.get('axes')") == [1, 0], "the axes change places"


def test_nothing_is_sent_while_the_scatter_is_not_visible(preview: Preview) -> None:
    page = preview(scenario="objectives", live="0")
    assert page.evaluate("preview.kernel.received.filter(one => one.message.type === 'visible').length") == 0
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator(NOTE)).not_to_be_empty()
    kinds = page.evaluate("preview.kernel.received.filter(one => one.widget === 'pareto').map(one => one.message.type)")
    assert set(kinds) <= {"visible", "plotly"}


def test_one_point_none_and_an_error(preview: Preview) -> None:
    page = preview(scenario="objectives", live="0")
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator(NOTE)).not_to_be_empty()
    page.evaluate("preview.kernel.lost = true")
    message = "{type: 'points', reset: true, objectives: [['<b>a</b>', 'max'], ['b', 'min']], rows: %s, front: %s}"
    page.evaluate(
        "preview.widgets.pareto.model.receive(" + message % ("[[0, 'finished', '<i>x</i>', 1, 2]]", "[0]") + ")"
    )
    expect(page.locator(NOTE)).to_have_text("1 of 1 trials on the Pareto front")
    expect(page.locator("#pareto .xtitle")).to_contain_text("<b>a</b> (higher is better)")
    page.evaluate("preview.widgets.pareto.model.receive(" + message % ("[]", "[]") + ")")
    expect(page.locator("#pareto .nbt-pareto-empty")).to_have_text("No trial has a value of each objective yet.")
    page.evaluate("preview.widgets.pareto.model.receive({type: 'points', reset: true, rows: 7, front: 1})")
    expect(page.locator("#pareto [role=alert]")).to_contain_text("Error in this view (pareto: message)")
    page.evaluate("preview.widgets.pareto.model.receive(" + message % ("[[0, 'running', '', 1, 2]]", "[0]") + ")")
    expect(page.locator("#pareto [role=alert]")).to_be_hidden()
