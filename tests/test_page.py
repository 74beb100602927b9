"""The page at / in a headless Chromium."""

import json

import pytest
from page_fixtures import Page
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support import MODEL, PHOTOS, event, eventually, run, running, when_stored

IMAGES = ["astronaut.png", "chelsea.png", "chelsea-crop.jpg", "china.jpg", "coffee.png", "rocket.jpg", "coins.png"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A pipeline with a model and real photographs in it."""
    folder = tmp_path_factory.mktemp("page")
    with running("up", folder / "data", "--model", MODEL, "--media-root", PHOTOS) as server:
        flags = ["--endpoint", server.url, "--model", MODEL, "--journal", folder / "journal", "--pipeline", "photos"]
        result = run("produce", *(PHOTOS / i for i in IMAGES), *flags, "--id-template", "{name}")
        assert result.returncode == 0, result.stderr
        when_stored(folder / "data", IMAGES)
        yield server


@pytest.fixture
def page(chromium, server):
    return Page(chromium, server.url)


def images_shown(page, css, number):
    try:
        return page.js(f"[...document.querySelectorAll({css!r})].filter(i => i.naturalWidth > 0).length") >= number
    except JavascriptException:
        return False


def test_the_page_shows_what_was_stored_and_no_error(page):
    page.open()
    eventually(lambda: page.text("documents").startswith(str(len(IMAGES))), "the number of documents")
    eventually(lambda: len(page.all("#latest tbody tr")) == len(IMAGES), "the latest documents")
    assert {t for t in page.texts("#latest tbody a.id")} == set(IMAGES)
    eventually(lambda: page.text("lag") == "0", "nothing is behind")
    assert page.text("dead") == "0"
    assert int(page.text("connections")) >= 1
    eventually(lambda: images_shown(page, "#latest img", len(IMAGES)), "thumbnails")
    assert page.text("no-pictures") == ""  # hidden
    assert page.all("#gpus tbody tr")
    page.picture("page-wide.png")
    assert page.errors() == []


def test_a_new_document_appears_without_a_reload(page, server):
    page.open()
    server.accept(event("arrives-live", dim=8, extra={"pipeline": "live"}))
    eventually(lambda: "arrives-live" in page.texts("#latest tbody a.id"), "the new document")
    assert page.errors() == []


def test_an_uploaded_photograph_shows_its_neighbours(page):
    page.open()
    page.browser.find_element(By.ID, "file").send_keys(str(PHOTOS / "chelsea-mirrored.webp"))
    eventually(lambda: len(page.all("#neighbours li")) >= 5, "neighbours")
    found = page.texts("#neighbours .id")
    assert set(found[:2]) == {"chelsea.png", "chelsea-crop.jpg"}
    cosines = [float(t.split()[1]) for t in page.texts("#neighbours .cosine")]
    assert cosines == sorted(cosines, reverse=True)
    eventually(lambda: images_shown(page, "#neighbours img", 5), "their pictures")
    page.picture("page-search.png")
    assert page.errors() == []


def test_similar_at_a_document_has_an_address_of_its_own(page):
    page.open("/#similar=chelsea.png")
    eventually(lambda: page.texts("#neighbours .id")[:1] == ["chelsea-crop.jpg"], "the nearest neighbour")
    assert page.errors() == []


def test_what_is_no_image_is_told_and_not_a_broken_page(page, tmp_path):
    page.open()
    text = tmp_path / "text.jpg"
    text.write_text("this is no image")
    page.browser.find_element(By.ID, "file").send_keys(str(text))
    eventually(lambda: "failed" in page.text("search-note"), "the reason")
    assert page.text("status") == "live"


def test_a_document_can_be_looked_at_and_closed_with_the_keyboard(page):
    page.open("/#document=chelsea.png")
    eventually(lambda: '"chelsea.png"' in page.text("detail-json"), "the document")
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    eventually(lambda: not page.js("document.getElementById('detail').open"), "the dialog is closed")


def test_the_filter_narrows_the_list(page):
    page.open()
    eventually(lambda: page.all("#latest tbody tr"), "documents")
    page.browser.find_element(By.NAME, "pipeline").send_keys("nobody")
    eventually(lambda: "No document matches" in page.text("empty"), "no document matches")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(page, width):
    page.open("/#similar=chelsea.png", width=width, height=780)
    eventually(lambda: len(page.all("#neighbours li")) >= 5, "neighbours")
    eventually(lambda: images_shown(page, "#neighbours img", 5), "their pictures")
    assert page.js("window.innerWidth") == width
    assert page.js("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
    # What scrolls within itself, as a long piece of code does, may be wider.
    wide += " && !e.closest('pre')).map(e => e.outerHTML.slice(0, 120))"
    assert page.js(wide) == []
    page.picture(f"page-{width}.png")
    assert page.errors() == []


def test_what_is_touched_on_a_phone_is_large_enough(page):
    page.open(width=360, height=780)
    eventually(lambda: page.all("#latest tbody tr"), "documents")
    small = page.js(
        "[...document.querySelectorAll('.button, button, input')]"
        ".filter(e => e.offsetParent && e.type != 'file' && e.getBoundingClientRect().height < 24)"
        ".map(e => e.outerHTML.slice(0, 120))"
    )
    assert small == []  # WCAG 2.2, 2.5.8


def test_the_focus_of_the_keyboard_is_visible_wherever_it_goes(page):
    page.open()
    eventually(lambda: page.all("#latest tbody tr"), "documents")
    seen = set()
    for _ in range(12):
        ActionChains(page.browser).send_keys(Keys.TAB).perform()
        shown = page.js(
            """(() => {
              const e = document.activeElement;
              const label = e.labels && e.labels[0];
              const marked = (x) => {
                const s = getComputedStyle(x);
                return (s.outlineStyle != 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow != 'none';
              };
              return [e.id || e.outerHTML.slice(0, 100), marked(e) || Boolean(label && marked(label))];
            })()"""
        )
        assert shown[1], f"no mark of focus at {shown[0]}"
        seen.add(shown[0])
    assert len(seen) >= 6


def test_every_control_has_a_name_and_every_image_a_text(page):
    page.open("/#similar=chelsea.png")
    eventually(lambda: len(page.all("#neighbours li")) >= 5, "neighbours")
    for control in page.all("button, input, a[href]"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert page.js("[...document.images].filter(i => !i.hasAttribute('alt')).length") == 0
    assert page.js("document.documentElement.lang") == "en"
    assert page.js("document.querySelectorAll('h1').length") == 1


def test_nothing_comes_from_another_place(page):
    page.open()
    eventually(lambda: page.all("#latest tbody tr"), "documents")
    names = page.js("performance.getEntriesByType('resource').map(e => e.name)")
    assert names
    assert [n for n in names if not n.startswith((page.url, "blob:" + page.url, "data:"))] == []


def test_without_pictures_files_have_names_and_the_page_says_what_shows_them(chromium, up):
    server = up()
    server.accept(event("hash-1", source_uri="file:///pictures/my%20cat.png"))
    server.accept(event("hash-2", source_uri="memory:100%"))
    server.accept(event("no-source", source_uri=None))
    page = Page(chromium, server.url)
    page.open()
    eventually(lambda: page.texts("#latest .file") == ["memory:100%", "my cat.png"], "the files' names, the newest first")
    assert "--media-root" in page.text("no-pictures")
    assert page.errors() == []


def test_a_long_id_does_not_run_into_the_files_name(chromium, up):
    server = up()
    server.accept(event("img-" + "0123456789abcdef" * 4, source_uri="file:///pictures/my%20cat.png"))
    page = Page(chromium, server.url).open(width=360)
    eventually(lambda: page.texts("#latest .file") == ["my cat.png"], "the file's name")
    top_of_file = page.js("document.querySelector('#latest .file').getBoundingClientRect().top")
    bottom_of_id = page.js(
        """(() => {
          const letters = document.createRange();
          letters.selectNodeContents(document.querySelector('#latest a.id'));
          return letters.getBoundingClientRect().bottom;
        })()"""
    )
    assert top_of_file >= bottom_of_id


def test_an_empty_store_says_what_to_do_next(chromium, up):
    page = Page(chromium, up().url).open()
    eventually(lambda: "ca4 produce" in page.text("empty"), "the next step")
    page.picture("page-empty.png")
    assert page.errors() == []


def test_a_media_root_that_is_not_there_is_told(up, tmp_path):
    server = up("--media-root", tmp_path / "gone")
    eventually(lambda: "gone: No such file or directory; the page shows no pictures" in server.said(), "the warning")


def test_a_processor_alone_says_so(chromium, serve, tmp_path):
    page = Page(chromium, serve("serve", tmp_path).url).open()
    eventually(lambda: page.text("documents-note"), "the note at the documents")
    assert page.errors() == []


def test_the_outbox_shows_what_waits_for_kafka(page):
    # This pipeline has none, so the answer of its server is given one on the way to the page.
    outbox = {"state": "spooling", "waiting": 1234, "age_s": 75, "bytes": 1, "bytes_max": 2, "last_error": "no broker"}
    script = """
        const real = window.fetch;
        window.fetch = async (path, options) => {
          const answer = await real(path, options);
          if (path !== "/api/stats") return answer;
          return new Response(JSON.stringify({...await answer.json(), outbox: window.outbox ?? %s}));
        };
    """
    added = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script % json.dumps(outbox)})
    try:
        page.open(status="in trouble")
        eventually(lambda: any("Outbox" in row for row in page.texts("#queues tbody tr")), "the row of the outbox")
        (row,) = [row for row in page.texts("#queues tbody tr") if "Outbox" in row]
        assert "1,234" in row
        assert "the oldest for 1 min" in row and "no broker" not in row  # the notice has the reason
        assert "no broker" in page.text("trouble")
        page.js("window.outbox = arguments[0]", outbox | {"state": "direct", "waiting": 0, "age_s": None, "last_error": ""})
        eventually(lambda: page.text("status") == "live", "the trouble is over")
        assert any("go to Kafka directly" in row for row in page.texts("#queues tbody tr"))
        assert page.errors() == []
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_an_older_answer_does_not_open_over_a_newer_one(page):
    script = """
        const real = window.fetch;
        window.fetch = async (path, options) => {
          if (path.includes("limit=1&id=coins.png")) await new Promise((resolve) => window.letCoinsCome = resolve);
          return real(path, options);
        };
    """
    added = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.open("/#document=coins.png")
        page.js("location.hash = 'document=chelsea.png'")
        eventually(lambda: '"chelsea.png"' in page.text("detail-json"), "the newer document")
        page.js("letCoinsCome()")
        # Its answer is there when one that was asked for later is.
        page.browser.execute_async_script("fetch('/api/documents?limit=1&id=china.jpg').then((a) => a.json()).then(arguments[0])")
        assert page.text("detail-title") == "chelsea.png"
        assert '"chelsea.png"' in page.text("detail-json")
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_search_is_waited_for_as_long_as_the_server_takes_to_give_it_up(page):
    # A tenth of each time: the answer comes after 20 s.
    script = """
        const timeout = AbortSignal.timeout.bind(AbortSignal);
        AbortSignal.timeout = (ms) => timeout(ms / 10);
        const real = window.fetch;
        window.fetch = async (path, options) => {
          if (path.startsWith("/api/similar")) await new Promise((resolve) => setTimeout(resolve, 2000));
          return real(path, options);
        };
    """
    added = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.open("/#similar=chelsea.png")
        eventually(lambda: "earching" not in page.text("search-note"), "the answer")
        assert page.texts("#neighbours .id")[:1] == ["chelsea-crop.jpg"], page.text("search-note")
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_an_updated_document_shows_its_new_picture(page, server):
    width = "document.querySelector('tr[data-key=changes] img')?.naturalWidth"
    server.accept(event("changes", source_uri="astronaut.png"))
    page.open()
    eventually(lambda: page.js(width) == 512, "the picture")
    server.accept(event("changes", source_uri="coffee.png"))
    eventually(lambda: page.js("document.querySelector('tr[data-key=changes] .file').textContent") == "coffee.png", "the update")
    eventually(lambda: page.js(width) == 600, "the new picture")


def test_a_page_whose_server_went_away_says_so(chromium, up):
    server = up()
    page = Page(chromium, server.url).open()
    server.stop()
    eventually(lambda: page.text("status") == "connection lost", "the loss is told")
    page.js("location.hash = 'document=a'")
    eventually(lambda: "can't be shown now" in page.text("detail-json"), "the loss is told of a document too")


def test_a_page_of_somebody_else_in_place_of_the_server_is_a_loss(chromium, up):
    page = Page(chromium, up().url).open()
    eventually(lambda: page.text("status") == "live", "the page is live")
    page.js("window.fetch = async () => new Response('<html>log in</html>')")
    eventually(lambda: page.text("status") == "connection lost", "the loss is told")
    page.js("location.hash = 'document=%'")
    eventually(lambda: page.js("document.getElementById('detail').open"), "the document's place")
    assert page.errors() == []


def test_a_token_is_asked_for_and_used(chromium, up, tmp_path):
    tokens = tmp_path / "tokens"
    writer, reader = (run("token", "new", "--token-file", tokens, "--name", name, "--scope", name).stdout for name in ("write", "read"))
    server = up("--token-file", tokens)
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.get(server.url + "/")
    page = Page(chromium, server.url)
    eventually(lambda: page.js("document.getElementById('token').open"), "the dialog")
    field = chromium.find_element(By.ID, "token-input")
    field.send_keys("wrong" + Keys.ENTER)
    eventually(lambda: "refused" in page.text("token-note"), "the refusal")
    # One that may send, and not see.
    field.send_keys(writer.strip() + Keys.ENTER)
    eventually(lambda: "the token 'write' has no scope read" in page.text("token-note"), "it asks again and says why")
    field.send_keys(reader.strip() + Keys.ENTER)
    eventually(lambda: page.text("status") == "live", "the page is live")


def test_a_document_cannot_put_markup_into_the_page(page, server):
    evil = "<img src=x onerror=\"document.title='owned'\">"
    server.accept(event(evil, source_uri=evil, extra={"pipeline": evil}, gpu_hardware={"name": evil}))
    page.open()
    eventually(lambda: evil in page.texts("#latest tbody a.id"), "the document")
    assert page.js("document.title") != "owned"
    assert not page.all("img[src=x]")
