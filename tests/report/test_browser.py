"""The page in a real browser: it loads alone, its slider moves, its table sorts, and it fits a
phone.
"""

import shutil

import evaluation_example as example
import pytest
import structure_example

from restore.evaluation.records import read_evaluation
from restore.report.page import page as page_of
from restore.report.structure_page import structure_page
from restore.structure.records import structure_from

CHROMIUM = shutil.which("chromium")
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page of fourteen micrographs, the pictures of seven in it, as a file."""
    folder = example.write(
        tmp_path_factory.mktemp("evaluation"), example.evaluation(14, 5), size=(320, 240)
    )
    path = folder / "report.html"
    path.write_text(page_of(read_evaluation(folder), folder, 7), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser, address):
    """A function that opens the page; at the end, nothing may have been complained of and nothing
    asked of a network.
    """
    contexts, complaints, asked = [], [], []

    def open_page(where=address, **settings):
        contexts.append(browser.new_context(**{"viewport": DESKTOP, **settings}))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(where)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert len([url for url in asked if url.startswith("file:")]) == len(contexts), (
        "only the page itself was read"
    )


def split(page):
    """Where the raw image ends, in percent: by the style, which must agree with what is clipped."""
    share = page.evaluate(
        "getComputedStyle(document.querySelector('.comparison')).getPropertyValue('--split')"
    )
    clip = page.evaluate("getComputedStyle(document.querySelector('.view.shown .over')).clipPath")
    assert clip == f"inset(0px 0px 0px {share})"
    return float(share.rstrip("%"))


def stage_box(page):
    stage = page.locator(".view.shown .stage")
    stage.scroll_into_view_if_needed()
    return stage.bounding_box()


def column(page, heading):
    """A column's cells from top to bottom, those that the filter hides left out."""
    heads = [text.replace("\n", " ") for text in page.locator("thead th").all_inner_texts()]
    index = next(number for number, text in enumerate(heads) if text.strip() == heading)
    return page.locator(f"tbody tr:not([hidden]) > :nth-child({index + 1})").all_inner_texts()


def head(page, heading):
    return page.locator("thead button", has_text=heading)


def test_the_page_loads_whole_with_all_its_pictures(visit):
    page = visit()
    assert page.title() == "all.star, denoised: a report by restore"
    sizes = page.evaluate("Promise.all([...document.images].map(async i => { i.loading = 'eager';"
                          " await i.decode(); return i.naturalWidth }))")  # fmt: skip
    assert sizes == [320] * 21
    assert page.locator(".plot:visible").count() == 8


def test_nothing_can_be_loaded_from_elsewhere(browser, address):
    page = browser.new_page()
    page.goto(address)
    with page.expect_event("console") as event:
        page.evaluate(
            "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))"
        )
    page.close()
    assert "Content Security Policy" in event.value.text


def test_the_slider_follows_the_mouse(visit):
    page = visit()
    box = stage_box(page)
    y = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, y, steps=4)
    assert split(page) == pytest.approx(20, abs=1)
    page.mouse.move(box["x"] - 50, y, steps=2)
    assert split(page) == 0
    page.mouse.move(box["x"] + box["width"] * 0.7, y)
    page.mouse.up()
    assert split(page) == pytest.approx(70, abs=1)
    page.mouse.move(box["x"] + box["width"] * 0.1, y)
    assert split(page) == pytest.approx(70, abs=1)


def test_the_slider_follows_the_keyboard(visit):
    page = visit()
    page.focus("#split")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert split(page) == 53
    page.keyboard.press("Home")
    assert split(page) == 0
    assert page.get_attribute("#split", "aria-valuetext") == "0 % raw"
    page.keyboard.press("End")
    assert split(page) == 100


def test_the_slider_follows_a_finger(visit):
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    box = stage_box(page)
    y = box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)

    def touch(kind, share):
        points = [] if share is None else [{"x": box["x"] + box["width"] * share, "y": y}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.5)
    for share in (0.55, 0.65, 0.8):
        touch("touchMove", share)
    touch("touchEnd", None)
    assert split(page) == pytest.approx(80, abs=2)


def test_no_column_of_the_table_is_cut_off_on_a_desktop(visit):
    page = visit()
    shown, whole = page.evaluate(
        "(() => { const box = document.querySelector('#micrographs .scroll');"
        " return [box.clientWidth, box.scrollWidth]; })()"
    )
    assert whole <= shown
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]


def test_the_slider_of_the_overlay_has_a_label_that_can_be_seen(visit):
    assert visit().locator("label[for=opacity]").bounding_box()["width"] > 30


def test_the_overlay_is_off_until_it_is_asked_for_and_has_a_strength(visit):
    page = visit()

    def opacity():
        return page.evaluate(
            "getComputedStyle(document.querySelector('.view.shown .support')).opacity"
        )

    assert opacity() == "0" and not page.locator(".key").is_visible()
    page.check("#support")
    assert opacity() == "0.7" and page.locator(".key").is_visible()
    page.focus("#opacity")
    page.keyboard.press("Home")
    assert opacity() == "0.1"
    page.uncheck("#support")
    assert opacity() == "0"


def test_the_picker_and_the_arrows_show_another_micrograph(visit):
    page = visit()
    names = [text.split(" · ")[0] for text in page.locator("#pick option").all_inner_texts()]
    assert len(names) == 7

    def shown():
        (name,) = page.locator(".view:visible h3").all_inner_texts()
        return name

    assert shown() == names[0]
    page.select_option("#pick", index=4)
    assert shown() == names[4]
    page.click("#next")
    assert shown() == names[5]
    page.click("#previous")
    page.click("#previous")
    assert shown() == names[3]
    page.select_option("#pick", index=0)
    page.click("#previous")
    assert shown() == names[6]


def test_a_row_leads_to_its_pictures_by_mouse_and_by_enter(visit):
    page = visit()
    buttons = page.locator("tbody [data-view]")
    first, last = buttons.first, buttons.last
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".view:visible h3").inner_text() == first.inner_text()
    last.locator("xpath=ancestor::tr").locator("td").nth(2).click()
    assert page.locator(".view:visible h3").inner_text() == last.inner_text()
    assert page.locator("tbody tr.current").count() == 1


def test_sorting_sorts_by_number_in_both_directions(visit):
    page = visit()

    def numbers():
        return [float(text) for text in column(page, "hot pixels")]

    before = numbers()
    assert 10 in before and 9 in before, "so that an order by letters would be another one"
    head(page, "hot pixels").click()
    assert numbers() == sorted(before, reverse=True)
    assert page.locator("th[aria-sort]").all_inner_texts() == ["hot pixels"]
    assert page.get_attribute("th[aria-sort]", "aria-sort") == "descending"
    head(page, "hot pixels").press("Enter")
    assert numbers() == sorted(before)
    assert page.get_attribute("th[aria-sort]", "aria-sort") == "ascending"
    head(page, "micrograph").click()
    assert column(page, "micrograph") == [f"mic_{index:04d}_DW.mrc" for index in range(14)]


def test_sorting_knows_minus_signs_exponents_and_leaves_what_is_missing_at_the_end(visit, tmp_path):
    card = example.evaluation(5, 2, pictures=False)
    for row, value in zip(card["micrographs"], (-0.5, None, 2e-7, 30.0, -2e-7), strict=True):
        row["numbers"]["snr_raw_full"] = {"value": value, "low": None, "high": None}
    folder = example.write(tmp_path / "evaluation", card)
    (folder / "report.html").write_text(page_of(read_evaluation(folder), folder), encoding="utf-8")
    page = visit((folder / "report.html").as_uri())
    head(page, "SNR raw").click()
    assert column(page, "SNR raw") == ["30.0", "2.00e−07", "−2.00e−07", "−0.500", "–"]
    head(page, "SNR raw").click()
    assert column(page, "SNR raw") == ["−0.500", "−2.00e−07", "2.00e−07", "30.0", "–"]


def test_the_filter_keeps_the_rows_with_all_its_words(visit):
    page = visit()
    page.fill("#filter", "HELD mic_0003")
    assert column(page, "micrograph") == ["mic_0003_DW.mrc"]
    assert page.inner_text("#matching") == "1 of 14"
    page.fill("#filter", "held")
    assert len(column(page, "micrograph")) == 5
    page.fill("#filter", "")
    assert page.inner_text("#matching") == "14 of 14"


def test_the_groups_are_shown_one_at_a_time(visit):
    page = visit()
    assert page.locator(".of-group:visible").count() == 2
    assert "held out: 5 micrographs" in page.inner_text("#verdict")
    page.locator(".groups label", has_text="trained on").click()
    assert "trained on: 9 micrographs" in page.inner_text("#verdict")
    assert "held out: 5 micrographs" not in page.inner_text("#curves")
    assert page.locator("#curves .plot:visible").count() == 8


def test_a_chart_reads_its_values_to_the_pointer_and_to_arrow_keys(visit):
    page = visit()
    chart = page.locator(".chart:visible", has_text="Signal against all error")
    plot = chart.locator(".plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + box["height"] / 2)
    assert chart.locator(".at").text_content() == "4.5 Å"
    value = example.curves()["signal_to_error_wiener"]["value"][-1]
    assert chart.locator(".reading").nth(0).inner_text().startswith(f"{value:#.3g} (")
    page.mouse.move(5, 5)
    assert chart.locator(".reading").nth(0).inner_text() == ""
    plot.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert chart.locator(".at").text_content() == f"{4.5 * 64 / 2:.3g} Å"


def test_the_first_shell_of_a_chart_over_resolution_is_the_mean(visit, tmp_path):
    card = structure_example.structure()
    del card["views"], card["regions"]
    structure_example.write_pictures(tmp_path)
    path = tmp_path / "structure.html"
    path.write_text(structure_page(structure_from(card), tmp_path), encoding="utf-8")
    page = visit(path.as_uri())
    texts = []
    for plot in page.locator(".chart .plot").all():
        plot.focus()
        page.keyboard.press("ArrowRight")
        texts.append(plot.locator(".at").text_content())
    assert "mean" in texts and not [text for text in texts if "Infinity" in text]
    chart = page.locator(".chart").first
    chart.locator(".plot").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert chart.locator(".at").text_content() == "154 Å"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hangs_over_the_edge_of_a_phone(visit, scheme):
    page = visit(viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    table = page.locator(".scroll")
    assert table.evaluate("box => box.scrollWidth > box.clientWidth"), (
        "the table scrolls in its box"
    )
    small = page.evaluate(
        "[...document.querySelectorAll('.plot text')]"
        ".filter(t => t.checkVisibility() && t.textContent)"
        ".map(t => t.getBoundingClientRect().height)"
    )
    assert min(small) > 10


CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => rgb.slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = parse(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const own = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const text = (element) => own(element) && element.checkVisibility();
  return [...document.querySelectorAll("body *")]
    .filter((element) => text(element) && !element.closest("script, .stage, option, select"))
    .map((element) => {
      const style = getComputedStyle(element);
      const ink = element.closest("svg") ? style.fill : style.color;
      const [a, b] = [light(parse(ink)), light(ground(element))].sort((x, y) => y - x);
      const name = element.tagName + "." + element.className;
      return [(a + 0.05) / (b + 0.05), name + ": " + element.textContent.slice(0, 30)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_AA_asks_for(visit, scheme):
    page = visit(color_scheme=scheme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 300
    assert [contrast for contrast in contrasts if contrast[0] < 4.5] == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (scheme == "dark")


def test_without_javascript_numbers_table_and_pictures_are_there(visit):
    page = visit(java_script_enabled=False)
    assert page.locator(".view:visible").count() == 7
    assert page.locator("tbody tr:visible").count() == 14
    assert page.locator(".figures:visible strong").first.inner_text() == "99.6 %"
    assert not page.locator("#filter").is_visible() and not page.locator("#split").is_visible()
    page.locator(".groups label", has_text="all").click()
    assert "all: 14 micrographs" in page.inner_text("#verdict")


def test_two_thousand_micrographs_sort_and_filter_at_once(visit, tmp_path):
    folder = example.write(tmp_path / "evaluation", example.evaluation(2000, 100, pictures=False))
    (folder / "report.html").write_text(page_of(read_evaluation(folder), folder), encoding="utf-8")
    page = visit((folder / "report.html").as_uri())
    seconds = page.evaluate("""() => {
      const start = performance.now(), table = document.querySelector("table");
      table.tHead.rows[0].cells[3].click();
      table.getBoundingClientRect();
      const filter = document.querySelector("#filter");
      filter.value = "mic_19";
      filter.dispatchEvent(new Event("input"));
      table.getBoundingClientRect();
      return (performance.now() - start) / 1000;
    }""")
    assert page.inner_text("#matching") == "100 of 2000"
    assert seconds < 4, "fractions of a second where the machine is idle"
    page.fill("#filter", "")
    assert page.inner_text("#matching") == "2000 of 2000, the first 250 shown"
    assert page.locator("tbody tr:not([hidden])").count() == 250
    page.click("#everything")
    assert page.inner_text("#matching") == "2000 of 2000"
    assert (
        page.locator("tbody tr:not([hidden])").count() == 2000
        and not page.locator("#everything").is_visible()
    )
