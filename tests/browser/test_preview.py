"""The widgets in a browser, on recorded events."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser
WIDGETS = ("header", "curves", "trials", "parallel")
SCENARIOS = ("empty", "1", "20", "1000", "10000", "errors", "paused", "stopped")
Preview = Callable[..., Page]

CONTRAST = """name => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).map(part => (part / 255 <= 0.04045 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const [r, g, b, alpha = 1] = parts(getComputedStyle(document.querySelector(`#${name} .nbt`)).color);
  const seen = [r, g, b].map((part, i) => part * alpha + parts(page)[i] * (1 - alpha));
  const [low, high] = [light(`rgb(${seen})`), light(page)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""


def received(page: Page, widget: str, kind: str) -> list[dict[str, Any]]:
    """Return what a widget has sent to Python, but for the ids of its questions."""
    messages: list[dict[str, Any]] = page.evaluate(
        "([widget, type]) => preview.kernel.received.filter(one => one.widget === widget && one.message.type === type)"
        ".map(({message: {id, ...rest}}) => rest)",
        [widget, kind],
    )
    return messages


def row(page: Page, trial: int) -> Locator:
    return page.locator(f"#trials tr[data-trial='{trial}']")


def numbers(page: Page) -> list[int]:
    """Return the trials of the table's rows, from above."""
    expect(page.locator("#trials tr[data-trial]").first).to_be_visible()
    found: list[int] = page.locator("#trials tr[data-trial]").evaluate_all(
        "rows => rows.map(r => Number(r.dataset.trial))"
    )
    return found


def said(page: Page, widget: str) -> str:
    """Return what a widget's alerts say."""
    alerts = page.locator(f"#{widget} [role=alert]:visible")
    return "".join(alerts.all_inner_texts()).strip()


def selection(page: Page, widget: str) -> list[int]:
    found: list[int] = page.evaluate("name => preview.widgets[name].model.get('selection')", widget)
    return found


def drawn(page: Page, *names: str) -> None:
    """Wait until plotly has drawn these widgets."""
    for name in names:
        expect(page.locator(f"#{name} .js-plotly-plot .main-svg").first).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_shows_every_widget_in_both_themes(preview: Preview, scenario: str) -> None:
    # Software draws 10,000 lines of parallel coordinates slowly: there they stay below the window.
    page = preview(scenario, height=800 if scenario == "10000" else 1500)
    for name in WIDGETS:
        expect(page.locator(f"#{name} > div > .nbt")).to_be_visible()
    if scenario == "empty":
        expect(page.locator("#header")).to_contain_text("0 of 0")
        expect(page.locator("#trials")).to_contain_text("No trials yet")
        expect(page.locator("#curves")).to_contain_text("No reports yet")
    else:
        count = int(scenario) if scenario.isdigit() else 20
        stays = scenario in {"paused", "stopped"}
        expect(page.locator("#header")).to_contain_text(f"8 of {count}" if stays else f"{count} of {count}")
        expect(page.get_by_role("grid", name="Trials")).to_have_attribute("aria-rowcount", str(count + 1))
        assert page.locator("#trials tr").count() < 100
        expect(page.locator("#curves [role=img]")).to_have_attribute("aria-label", re.compile(f"{count} trials"))
        drawn(page, "curves")
    for theme in ("light", "dark"):
        page.get_by_label("theme").select_option(theme)
        for name in WIDGETS:
            assert page.evaluate(CONTRAST, name) > 4.5
    for name in WIDGETS:
        assert len(received(page, name, "ready")) == 1
        assert received(page, name, "error") == []
        assert said(page, name) == ""


def test_a_live_experiment(preview: Preview) -> None:
    page = preview(20, live="1")
    expect(page.locator("#header")).to_contain_text("● running")
    expect(page.locator("#trials")).to_contain_text("●running")
    page.wait_for_function("document.querySelector('#trials tr[data-trial=\"0\"]')?.textContent.includes('finished')")
    for name in WIDGETS:
        assert len(received(page, name, "ready")) == 1, f"{name} has missed a message"


def test_text_of_a_trial_is_never_markup(preview: Preview) -> None:
    page = preview("errors", height=1500)
    hostile = '<img src="nowhere" onerror="window.hacked = 1">'
    expect(page.locator("#header")).to_contain_text(hostile)
    expect(row(page, 0)).to_contain_text(hostile)
    page.get_by_role("grid", name="Trials").focus()
    row(page, 0).dblclick()
    expect(page.locator("#trials section")).to_contain_text("Traceback")
    expect(page.locator("#trials section")).to_contain_text(hostile)
    page.get_by_role("combobox", name="metric").select_option("<i>odd</i> & co")
    expect(page.locator("#curves .ytitle")).to_have_text("<i>odd</i> & co")
    drawn(page, "curves", "parallel")
    for trial in range(20):
        page.evaluate("n => preview.widgets.trials.model.set('selection', [n])", trial)
    page.locator("#curves .js-plotly-plot").hover()
    page.wait_for_timeout(300)
    markup = page.locator("main").locator("img, script, b, i:not([class]), a[href*='example.org']")
    assert markup.evaluate_all("found => found.map(one => one.outerHTML)") == []
    assert page.evaluate("window.hacked") is None


HIDDEN = """() => {
  const texts = [...document.querySelectorAll("main .nbt *, main .nbt-tabs *")].flatMap((one) => [
    ...[...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data),
    one.title ?? "", one.ariaLabel ?? "",
  ]);
  return texts.filter((text) => /(?![\\t\\n])[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]/u.test(String(text)));
}"""


def test_no_text_has_hidden_characters(preview: Preview) -> None:
    page = preview("errors", height=1500)
    expect(row(page, 3)).to_contain_text("\ufffd[31m\ufffdesrever\ufffd end")
    assert page.evaluate(HIDDEN) == []
    page.get_by_role("grid", name="Trials").focus()
    row(page, 3).dblclick()
    expect(page.locator("#trials section")).to_contain_text("ValueError: \ufffd[31m")
    assert page.evaluate(HIDDEN) == []
    button(page, "trials", "Clone").click()
    expect(page.get_by_role("form", name="A clone of trial")).to_contain_text("\ufffd[31m")
    drawn(page, "curves", "parallel")
    assert page.evaluate(HIDDEN) == []


def test_views_leave_nothing_behind(preview: Preview) -> None:
    page = preview(20, live="half", height=2800)
    drawn(page, "curves", "parallel")
    left = []
    for _ in range(3):
        page.click("#more")
        for name in ("curves", "parallel"):
            expect(page.locator(f"#{name} > div:last-child .js-plotly-plot .main-svg").first).to_be_visible()
        listening = page.evaluate(
            "Promise.all(Object.values(preview.widgets).map(widget => widget.views.at(-1).remove()))"
        )
        assert dict(zip(WIDGETS, listening, strict=True)) == dict.fromkeys(WIDGETS, 0)
        left.append(page.evaluate("preview.leaks()"))
    assert left[1] == left[2]
    page.evaluate("Promise.all(Object.values(preview.widgets).map(widget => widget.views[0].remove()))")
    assert page.locator("main .nbt").count() == 0
    page.evaluate("for (const { model } of Object.values(preview.widgets)) model.handedTo('link').off(null, null)")
    listening = page.evaluate("Promise.all(Object.values(preview.widgets).map(widget => widget.destroy()))")
    assert dict(zip(WIDGETS, listening, strict=True)) == dict.fromkeys(WIDGETS, 0)


def test_a_view_that_comes_later_shows_the_same(preview: Preview) -> None:
    page = preview(20, height=2800)
    row(page, 3).click()
    page.click("#fewer")
    expect(page.locator("main .nbt")).to_have_count(0)
    page.click("#more")
    page.click("#more")
    for name in WIDGETS:
        expect(page.locator(f"#{name} > div > .nbt")).to_have_count(2)
    expect(row(page, 3)).to_have_count(2)
    for view in (row(page, 3).first, row(page, 3).last):
        expect(view).to_have_attribute("aria-selected", "true")
    row(page, 5).first.click()
    expect(row(page, 5).last).to_have_attribute("aria-selected", "true")
    for plot in page.locator("#curves [role=img]").all():
        expect(plot).to_have_attribute("aria-label", re.compile("20 trials"))
    for name in WIDGETS:
        assert len(received(page, name, "ready")) == 1


def test_a_selection_reaches_every_widget(preview: Preview) -> None:
    page = preview(20, height=1500)
    drawn(page, "curves", "parallel")
    button(page, "trials", "trial$").click()
    row(page, 2).click()
    row(page, 4).click(modifiers=["Shift"])
    for name in ("trials", "curves", "parallel"):
        assert selection(page, name) == [2, 3, 4]
        assert received(page, name, "traits")[-1]["selection"] == [2, 3, 4]
    expect(page.locator("#curves")).to_contain_text("selected")
    page.evaluate("preview.widgets.parallel.model.set('selection', [7, 9])")
    expect(row(page, 7)).to_have_attribute("aria-selected", "true")
    expect(row(page, 2)).to_have_attribute("aria-selected", "false")
    assert selection(page, "curves") == [7, 9]
    row(page, 7).click(modifiers=["ControlOrMeta"])
    assert selection(page, "curves") == [9]


def test_a_click_on_a_curve_selects_its_trial(preview: Preview) -> None:
    page = preview(1)
    drawn(page, "curves")
    plot = page.locator("#curves .js-plotly-plot")
    page.wait_for_function("document.querySelector('#curves .js-plotly-plot').data?.some(one => one.x.length > 20)")
    at = plot.evaluate(
        "({_fullLayout: l, data}) => { const trace = data.find(one => one.x.length > 20);"
        " return [l._size.l + l.xaxis.d2p(trace.x[12]), l._size.t + l.yaxis.d2p(trace.y[12])] }"
    )
    box = plot.bounding_box()
    assert box
    # Plotly looks for the nearest point at its own pace, and leaves out moves that come too fast.
    tip = page.locator("#curves .nbt-curves-tooltip")
    for step in range(50):
        page.mouse.move(box["x"] + at[0] - step % 2, box["y"] + at[1])
        page.wait_for_timeout(50)
        if tip.is_visible():
            break
    expect(tip).to_contain_text("trial 0")
    page.mouse.click(box["x"] + at[0], box["y"] + at[1])
    expect(row(page, 0)).to_have_attribute("aria-selected", "true")
    assert selection(page, "parallel") == [0]


def test_the_table_is_sorted_and_filtered(preview: Preview) -> None:
    page = preview(1000)
    ranked = page.evaluate(
        "preview.kernel.trials.filter(t => t.status !== 'failed')"
        ".map(t => [Math.max(...t.values.accuracy), t.number]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).map(t => t[1])"
    )
    assert numbers(page)[:3] == ranked[:3]
    header = page.locator("#trials").get_by_role("columnheader", name="best accuracy")
    expect(header).to_have_attribute("aria-sort", "descending")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    button(page, "trials", "trial$").click()
    expect(page.locator("#trials tr[data-trial]").first).to_have_attribute("data-trial", "0")
    field = page.get_by_role("searchbox", name="Filter the trials")
    place = page.locator("#parallel").bounding_box()
    field.fill("(hidden = 32 | lr > 1) and not status != failed")
    wanted = page.evaluate("preview.kernel.trials.filter(t => t.config.hidden === 32 && t.status === 'failed').length")
    expect(page.locator("#trials")).to_contain_text(f"{wanted} of 1,000")
    field.fill("hidden = 32 & lr > 0.2")
    expect(page.locator("#trials")).to_contain_text("No trial matches hidden == 32 and lr > 0.2")
    field.fill("lr < 0.1 & acuracy > 0.5")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#trials .nbt-filter-error")).to_contain_text("unknown column acuracy: did you mean accuracy?")
    expect(page.locator("#trials mark")).to_have_text("acuracy")
    expect(page.locator("#trials")).to_contain_text("0 of 1,000")  # the last filter that could be read
    assert page.locator("#parallel").bounding_box() == place


def test_the_columns_are_chosen_and_the_rows_are_saved(preview: Preview) -> None:
    page = preview("errors")
    cells = row(page, 1).locator("td")
    titles = page.locator("#trials thead th")
    expect(titles).to_contain_text(["trial", "status", "note", "<i>odd</i> & co", "accuracy", "best accuracy"])
    expect(row(page, 2)).to_contain_text("None")
    expect(cells.nth(2)).to_have_attribute("title", str(1 / 7))  # with all digits
    button(page, "trials", "Columns").press("Enter")
    panel = page.get_by_role("group", name="columns")
    expect(panel.get_by_role("checkbox", name="note")).to_be_focused()
    page.keyboard.press("Space")
    expect(panel.get_by_role("checkbox", name="note")).not_to_be_checked()
    up = panel.get_by_role("button", name="move lr up")
    for _ in range(6):
        up.press("Enter")
    expect(up).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button(page, "trials", "Columns")).to_be_focused()
    expect(titles).to_contain_text(["trial", "status", "lr", "<i>odd</i> & co", "accuracy"])
    assert received(page, "trials", "traits")[-1]["arrangement"][:2] == [["config/lr", True], ["config/note", False]]
    page.get_by_role("searchbox", name="Filter the trials").fill("trial < 2")
    with page.expect_download() as saving:
        button(page, "trials", "CSV").click()
    rows = list(csv.DictReader(saving.value.path().read_text().splitlines()))
    assert [one["trial"] for one in rows] == ["1", "0"]  # the best one first; that without is last, which has failed
    assert list(rows[0])[:4] == ["trial", "status", "lr", "<i>odd</i> & co"]
    assert (rows[0]["<i>odd</i> & co"], rows[1]["<i>odd</i> & co"]) == (str(1 / 7), "None")
    assert '<img src="nowhere"' in rows[1]["error"]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row(page, 0).click()
    page.keyboard.press("ControlOrMeta+c")
    page.wait_for_function("navigator.clipboard.readText().then(text => text.startsWith('trial\\tstatus\\tlr'))")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert [line.partition("\t")[0] for line in copied] == ["trial", "0"]  # only the selected row
    button(page, "trials", "Columns").click()
    panel.get_by_role("button", name="Reset").click()
    expect(titles).to_contain_text(["trial", "status", "note"])


def test_everything_is_reached_by_keyboard(preview: Preview) -> None:
    page = preview(20, live="half")
    drawn(page, "curves")
    reached = set()
    page.locator("#fewer").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('section')?.id ?? ''"))
        name = page.evaluate(
            "(e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent || e.title || e.placeholder)(document.activeElement)"
        )
        assert name.strip(), page.evaluate("document.activeElement.outerHTML")
    assert reached >= {"header", "curves", "trials"}
    button(page, "trials", "trial$").press("Enter")
    page.get_by_role("grid", name="Trials").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert selection(page, "trials") == [1]
    page.keyboard.press("Shift+ArrowDown")
    assert selection(page, "curves") == [1, 2]
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Trial 2")).to_contain_text("Configuration")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Trial 2")).to_be_hidden()
    expect(page.get_by_role("grid", name="Trials")).to_be_focused()


def test_commands_wait_for_a_busy_kernel(preview: Preview) -> None:
    page = preview(20, live="half")
    page.check("#busy")
    trial = page.evaluate("preview.kernel.trials.find(one => one.status === 'running').number")
    row(page, trial).get_by_role("button", name=re.compile("Stop")).click()
    expect(row(page, trial)).to_contain_text("waiting")
    row(page, trial).dblclick()
    expect(page.locator("#trials section")).to_contain_text("waiting for the kernel")
    page.locator("#header").get_by_role("button", name="Stop").click()
    page.locator("#header").get_by_role("button", name="Yes").click()
    expect(page.locator("#header")).to_contain_text("waiting for the kernel")
    assert received(page, "trials", "stop") == [{"type": "stop", "trial": trial}]
    assert received(page, "header", "stop") == [{"type": "stop"}]
    page.uncheck("#busy")
    expect(page.locator("#header")).to_contain_text("stopping")
    expect(page.locator("#header")).to_contain_text("■ stopped")
    expect(page.locator("#header").get_by_role("button", name="Stop")).to_be_hidden()
    expect(row(page, trial)).to_contain_text("■stopped by you")
    expect(page.locator("#trials section")).to_contain_text('"hidden"')


def test_a_request_without_an_answer_times_out(preview: Preview) -> None:
    page = preview(20, live="half")
    page.clock.install()
    page.check("#busy")
    trial = page.evaluate("preview.kernel.trials.find(one => one.status === 'running').number")
    row(page, trial).get_by_role("button", name=re.compile("Stop")).click()
    expect(row(page, trial)).to_contain_text("waiting")
    row(page, trial).dblclick()
    page.locator("#header").get_by_role("button", name="Stop").click()
    page.locator("#header").get_by_role("button", name="Yes").click()
    expect(page.locator("#header")).to_contain_text("waiting for the kernel")
    expect(page.locator("#trials section")).to_contain_text("waiting for the kernel")
    page.clock.fast_forward(46_000)
    unanswered = "the kernel has not answered within 45 s"
    expect(page.locator("#header [role=status]").filter(has_text="Not stopped")).to_contain_text(unanswered)
    expect(page.locator("#trials .nbt-command-refusal")).to_contain_text(f"trial {trial} is not stopped: {unanswered}")
    expect(page.locator("#trials section")).to_contain_text(f"Not available: {unanswered}")
    expect(page.locator("body")).not_to_contain_text("waiting for the kernel")
    page.uncheck("#busy")  # it was only busy: what was ordered is done after all
    page.clock.run_for(2_000)
    expect(page.locator("#header")).to_contain_text("■ stopped")
    expect(page.locator("#trials .nbt-command-refusal")).to_be_hidden()
    page.clock.resume()  # the page goes on to the next test


def test_a_refused_stop_shows_the_reason(preview: Preview) -> None:
    page = preview(20, live="half")
    trial = page.evaluate("preview.kernel.trials.find(one => one.status === 'running').number")
    page.evaluate("preview.kernel.trials.find(one => one.status === 'running').status = 'finished'")
    row(page, trial).get_by_role("button", name=re.compile("Stop")).click()
    expect(page.locator("#trials .nbt-command-refusal")).to_contain_text(f"trial {trial} is over")
    expect(row(page, trial).get_by_role("button", name=re.compile("Stop"))).to_be_enabled()


def test_without_a_kernel_nothing_can_be_pressed(preview: Preview) -> None:
    page = preview(20, live="half")
    trial = page.evaluate("preview.kernel.trials.find(one => one.status === 'running').number")
    row(page, trial).dblclick()
    expect(page.locator("#trials section")).to_contain_text("Results")
    page.evaluate(
        "for (const { model } of Object.values(preview.widgets)) {"
        " model.emit('comm_live_update'); model.receive = () => {}; }"  # a late answer would mean that the kernel lives
    )
    stop = button(page, "trials", f"Stop trial {trial}$").first
    for one in (stop, button(page, "trials", "Add a point"), button(page, "trials", "Clone")):
        expect(one).to_have_attribute("aria-disabled", "true")
        one.click(force=True)
    expect(page.get_by_role("combobox", name="metric")).to_be_disabled()
    expect(page.get_by_role("form", name=re.compile("point|clone"))).to_have_count(0)
    assert received(page, "trials", "stop") == []


def test_a_missed_message_is_requested_again(preview: Preview) -> None:
    page = preview(20, live="half")
    page.evaluate(
        "preview.widgets.curves.model.receive({type: 'update', reset: false, seq: 99, metric: 'accuracy', best: [],"
        " trials: [], segments: []}, [new Int32Array(), new Float64Array(), new Float64Array()])"
    )
    page.wait_for_function(
        "preview.kernel.received.filter(one => one.widget === 'curves' && one.message.type === 'ready').length === 2"
    )


@pytest.mark.parametrize(
    ("widget", "broken"),
    [
        ("header", "model.update({state: {name: 'x', counts: 7, best: {params: 3}}})"),
        ("curves", "model.receive({type: 'update', reset: true, seq: 1, trials: 5, segments: [[]]})"),
        ("trials", "model.receive({type: 'table', reset: true, columns: null, rows: 7})"),
        ("parallel", "model.receive({type: 'table', reset: true, columns: null, rows: 7})"),
    ],
    ids=WIDGETS,
)
def test_errors_are_shown_and_reported(preview: Preview, widget: str, broken: str) -> None:
    page = preview(20)
    drawn(page, "curves")
    page.evaluate(f"(({{model}}) => {broken})(preview.widgets.{widget})")
    expect(page.locator(f"#{widget} .nbt-error[role=alert]")).to_have_text(re.compile(r"\w"))
    expect(page.locator(f"#{widget} .nbt-error[role=alert]")).to_be_visible()
    told = received(page, widget, "error")[0]
    assert {"where", "message", "stack"} <= told.keys()
    assert told["message"]
    page.evaluate(f"preview.kernel.sendUpdates(true, ['{widget}'])")
    expect(page.locator(f"#{widget} > div > .nbt")).to_be_visible()


@pytest.mark.parametrize("scenario", ["20", "errors"])
def test_nothing_is_cut_off_at_600_px(preview: Preview, scenario: str) -> None:
    page = preview(scenario, width="600", live="half", height=1800)
    drawn(page, "curves", "parallel")
    state = row(page, 1).locator(".nbt-status")
    assert state.evaluate("one => [...one.children].map(part => part.getBoundingClientRect().width > 2)") == [
        True,
        False,
    ]
    expect(state).to_have_text("✓finished")  # the sign is seen, and the word is read
    for name in WIDGETS:
        wide = page.locator(f"#{name} > div").evaluate(
            "place => [place, ...place.querySelectorAll('.nbt')].map(one => [one.scrollWidth, one.clientWidth])"
        )
        assert all(content <= box for content, box in wide), f"{name}: {wide}"


def test_a_change_of_theme_is_followed(preview: Preview) -> None:
    page = preview(20, height=1500)
    drawn(page, "curves", "parallel")
    page.get_by_label("theme").select_option("dark")
    for name in ("curves", "parallel"):
        # Plotly writes colours into the drawing, so it has to be drawn again.
        page.wait_for_function(
            "name => [...document.querySelectorAll(`#${name} .js-plotly-plot text`)]"
            ".some(text => /^rgb\\((2[0-9]{2}), \\1/.test(getComputedStyle(text).fill))",
            arg=name,
        )


def button(page: Page, widget: str, name: str) -> Locator:
    return page.locator(f"#{widget}").get_by_role("button", name=re.compile(f"^{name}"))


def test_a_trial_is_paused_and_resumed_by_its_button(preview: Preview) -> None:
    page = preview(20, live="half")
    trial = page.evaluate("preview.kernel.trials.find(one => one.status === 'running').number")
    line = row(page, trial)
    page.check("#slow")  # no checkpoint is saved yet
    line.get_by_role("button", name="Pause").click()
    expect(line.get_by_role("button", name="pausing")).to_be_visible()
    line.get_by_role("button", name="pausing").click()  # cancels it
    expect(line.get_by_role("button", name="Pause")).to_be_visible()
    assert [len(received(page, "trials", kind)) for kind in ("pause", "resume")] == [1, 1]
    page.uncheck("#slow")
    line.get_by_role("button", name="Pause").press("Enter")
    expect(line).to_contain_text("‖paused")
    expect(page.locator("#header")).to_contain_text("1 paused")
    line.get_by_role("button", name="Resume").press("Enter")
    expect(line).to_contain_text("○pending")
    expect(line.get_by_role("button", name="Pause")).to_be_hidden()
    page.check("#refuses")
    other = page.evaluate("preview.kernel.trials.find(one => one.status === 'running').number")
    button(page, "trials", f"Pause trial {other}$").click()
    expect(page.locator("#trials .nbt-command-refusal")).to_have_text(
        f"trial {other} is not paused: no trial has saved a checkpoint yet, and a paused trial resumes from its latest checkpoint"
    )
    expect(button(page, "trials", f"Pause trial {other}$")).to_be_visible()


def test_a_trial_paused_by_the_scheduler_has_no_resume_button(preview: Preview) -> None:
    page = preview("paused")
    by_hand, by_scheduler = page.evaluate(
        "preview.kernel.trials.filter(one => one.status === 'paused').map(one => one.number)"
    )
    expect(row(page, by_hand).get_by_role("button", name="Resume")).to_be_visible()
    expect(row(page, by_scheduler)).to_contain_text("‖paused")
    expect(row(page, by_scheduler).get_by_role("button", name="Resume")).to_be_hidden()
    expect(row(page, by_scheduler).get_by_role("button", name="Stop")).to_be_visible()


def test_a_stopped_experiment_is_resumed(preview: Preview) -> None:
    page = preview("stopped")
    head = page.locator("#header")
    expect(head).to_contain_text("8 finished · 12 unfinished")
    expect(button(page, "header", "Stop")).to_be_hidden()
    expect(row(page, 9)).to_contain_text("◐unfinished")
    expect(row(page, 9).get_by_role("button", name="Stop")).to_be_hidden()
    page.check("#busy")
    button(page, "header", "Resume").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(button(page, "header", "waiting for the kernel")).to_be_focused()
    page.evaluate("preview.kernel.busy = false; preview.kernel.catchUp()")  # a click would take the focus
    expect(button(page, "header", "resuming")).to_be_focused()
    expect(head).to_contain_text("● running")
    expect(button(page, "header", "Stop")).to_be_focused()
    assert received(page, "header", "resume") == [{"type": "resume", "failed": False}]


def test_failed_trials_are_run_again(preview: Preview) -> None:
    page = preview(20)
    page.check("#refuses")
    button(page, "header", "Retry failed").click()
    expect(page.locator("#header [role=status]:visible")).to_contain_text("Not resumed: no trial has saved")
    page.uncheck("#refuses")
    button(page, "header", "Retry failed").click()
    expect(page.locator("#header")).to_contain_text("● running")
    expect(page.locator("#header .nbt-header-refusal")).to_be_hidden()
    assert received(page, "header", "resume")[-1] == {"type": "resume", "failed": True}


def test_the_limit_of_concurrent_trials_is_changed(preview: Preview) -> None:
    page = preview(20, live="half")
    shown = page.locator("#header output")
    expect(shown).to_be_hidden()
    height = page.locator("#header .nbt-header-main").bounding_box()
    button(page, "header", "Steer").press("Enter")
    expect(button(page, "header", "Steer")).to_have_attribute("aria-expanded", "true")
    assert page.locator("#header .nbt-header-main").bounding_box() == height
    expect(shown).to_have_text("all (4)")
    page.check("#busy")
    for _ in range(2):  # one order for both
        button(page, "header", "one fewer at once").press("Space")
    expect(shown).to_have_text("2…")
    page.wait_for_function("preview.kernel.received.some(one => one.message.type === 'max_concurrent')")
    page.uncheck("#busy")
    expect(shown).to_have_text("2")
    expect(page.locator("#header")).to_contain_text("2 at once")
    button(page, "header", "as many at once as the cluster has room for").click()
    expect(shown).to_have_text("all (4)")
    assert [one["max_concurrent"] for one in received(page, "header", "max_concurrent")] == [2, None]
    page.check("#refuses")
    button(page, "header", "one fewer at once").click()
    expect(page.locator("#header [role=status]:visible").first).to_contain_text("Limit not changed")
    expect(shown).to_have_text("all (4)")
    button(page, "header", "one fewer at once").press("Escape")
    expect(shown).to_be_hidden()
    expect(button(page, "header", "Steer")).to_be_focused()


def test_samples_are_added(preview: Preview) -> None:
    page = preview(20, live="half")
    button(page, "header", "Steer").click()
    field = page.get_by_role("textbox", name="more samples")
    field.fill("1.5")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#header")).to_contain_text("expected an integer >= 1")
    assert received(page, "header", "extend") == []
    field.fill("3")
    field.press("Enter")
    expect(page.locator("#header")).to_contain_text("8 of 23")
    expect(page.locator("#header")).to_contain_text("✓ added")
    assert received(page, "header", "extend") == [{"type": "extend", "samples": 3}]


def test_samples_added_after_the_end_resume_the_experiment(preview: Preview) -> None:
    page = preview("stopped")
    button(page, "header", "Steer").click()
    expect(page.locator("#header output")).to_be_hidden()
    button(page, "header", "Add and resume").click()
    expect(button(page, "header", "resuming")).to_be_visible()
    expect(page.locator("#header")).to_contain_text("● running")


def test_a_new_point_is_added(preview: Preview) -> None:
    page = preview(20, live="half")
    opens = button(page, "trials", "Add a point")
    opens.press("Enter")
    form = page.get_by_role("form", name="A point to try next")
    lr = form.get_by_label("lr")
    expect(lr).to_be_focused()
    expect(form).not_to_contain_text("✗")
    lr.fill("0.1x")
    lr.press("Enter")
    expect(lr).to_have_attribute("aria-invalid", "true")
    expect(form).to_contain_text("expected a number")
    expect(lr).to_be_focused()
    assert received(page, "trials", "add") == []
    lr.fill("1e-2")
    expect(form).not_to_contain_text("expected a number")
    form.get_by_label("hidden").select_option("64")
    page.check("#busy")
    form.get_by_role("button", name="Try this next").click()
    form.get_by_role("button", name="waiting for the kernel").press("Enter")
    page.uncheck("#busy")
    expect(form).to_contain_text("it is tried next")
    expect(page.locator("#header")).to_contain_text("8 of 21")
    sent = {"type": "add", "config": {"lr": 0.01, "hidden": 64}, "trial": None, "checkpoint": False}
    assert received(page, "trials", "add") == [sent]
    page.check("#refuses")
    form.get_by_role("button", name="Try this next").click()
    expect(form).to_contain_text("no trial has saved a checkpoint yet")
    form.get_by_role("button", name="Try this next").press("Escape")
    expect(form).to_be_hidden()
    expect(opens).to_be_focused()
    expect(opens).to_have_attribute("aria-expanded", "false")


def test_a_trial_is_cloned_with_changes(preview: Preview) -> None:
    page = preview(20, live="half")
    config = page.evaluate("preview.kernel.trials[2].config")
    row(page, 2).dblclick()
    button(page, "trials", "Clone").click()
    form = page.get_by_role("form", name="A clone of trial 2")
    expect(form.get_by_label("lr")).to_have_value(str(config["lr"]))
    assert form.get_by_label("hidden").evaluate("one => one.selectedOptions[0].text") == str(config["hidden"])
    form.get_by_label("lr").fill("")
    form.get_by_label("lr").press("Enter")
    expect(form).to_contain_text("expected a value")
    form.get_by_label("lr").fill(str(config["lr"]))
    form.get_by_label("hidden").select_option("32")
    form.get_by_label("from its checkpoint").check()
    form.get_by_label("hidden").press("Tab")
    form.get_by_role("button", name="Try this next").press("Enter")
    expect(form).to_contain_text("it is tried next")
    sent = {"type": "add", "config": {"hidden": 32}, "trial": 2, "checkpoint": True}
    assert received(page, "trials", "add") == [sent]
    row(page, 3).dblclick()
    expect(form).to_be_hidden()
    button(page, "trials", "Clone").click()
    other = page.get_by_role("form", name="A clone of trial 3")
    expect(other.get_by_label("lr")).to_be_visible()
    expect(other.get_by_label("from its checkpoint")).to_be_hidden()  # it has none


def test_the_detail_has_results_and_a_log_that_follows_its_end(preview: Preview) -> None:
    page = preview(20)
    row(page, 8).dblclick()
    detail = page.get_by_role("region", name="Trial 8")
    line = detail.get_by_role("row", name=re.compile("^accuracy"))
    expect(line.get_by_role("img", name=re.compile(r"accuracy: from 0\.\d+ to 0\.8454"))).to_be_visible()
    expect(detail).to_contain_text("best accuracy: iteration 27, 1.35 s")
    expect(detail).to_contain_text("3 checkpoints of iteration 10, 20, 30")
    expect(detail).to_contain_text("it became a copy of trial 1")
    log = detail.get_by_role("region", name="log")
    expect(log).to_contain_text("epoch 30")
    page.wait_for_function(
        "e => e.scrollTop > 0 && e.scrollHeight - e.clientHeight - e.scrollTop < 4", arg=log.element_handle()
    )
    detail.get_by_role("searchbox", name="Filter the log").fill("EPOCH 2")
    expect(log).to_have_text(re.compile("^epoch 2\nepoch 20\n"))
    expect(detail).to_contain_text("11 of 30 lines")
    page.keyboard.press("Escape")
    expect(log).to_contain_text("epoch 30")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name, text in {"Copy": "{", "Copy as": "lr = ", "Make a cell": "# trial 8 of example"}.items():
        detail.get_by_role("button", name=re.compile(f"^{name}")).first.click()
        page.wait_for_function("text => navigator.clipboard.readText().then(one => one.startsWith(text))", arg=text)
    expect(detail).to_contain_text("copied: paste it into a new cell")
    row(page, 7).dblclick()
    expect(page.get_by_role("region", name="Trial 7")).to_contain_text("12 kB above are left out")
    page.keyboard.press("Escape")
    expect(page.get_by_role("grid", name="Trials")).to_be_focused()


def test_values_that_look_like_markup_are_text(preview: Preview) -> None:
    page = preview("errors")
    row(page, 0).dblclick()
    button(page, "trials", "Clone").click()
    form = page.get_by_role("form", name="A clone of trial 0")
    hostile = '<img src="nowhere" onerror="window.hacked = 1">'
    note = form.get_by_label("note")
    assert note.evaluate("one => one.selectedOptions[0].text") == hostile
    note.select_option(index=2)
    form.get_by_role("button", name="Try this next").click()
    expect(form).to_contain_text("it is tried next")
    assert received(page, "trials", "add")[0]["config"] == {"note": "<b>bold</b> & \"quoted\" %{y} 'text' </div>"}
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("scenario", ["empty", "1", "1000"])
def test_the_first_point_and_one_of_many(preview: Preview, scenario: str) -> None:
    page = preview(scenario, width="600")
    button(page, "trials", "Add a point").click()
    form = page.get_by_role("form", name="A point to try next")
    expect(form.get_by_label("lr")).to_be_focused()
    button(page, "header", "Steer").click()
    expect(page.get_by_role("textbox", name="more samples")).to_be_visible()
    for name in ("header", "trials"):
        wide = page.locator(f"#{name} .nbt").first.evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert wide[0] <= wide[1]
