"""The demo and the report in a real browser: upload, ask, watch the answer, break it, on a desk and on a phone.

Run by `make test-demo`, which installs gradio, playwright and the browser.
"""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from dyto.synthetic.videos import sample_video
from visiting import demo_of

pytestmark = pytest.mark.browser

SLOW = 90_000
STATUS = "#status [data-testid=markdown]"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


HELD = """
import pathlib, sys, time
from dyto.cli.app import run
from dyto.pipeline import VideoQA
encode = VideoQA.encode
def wait(self, *args, **options):
    for _ in range(1200):
        if pathlib.Path(sys.argv[1]).exists():
            break
        time.sleep(0.05)
    return encode(self, *args, **options)
VideoQA.encode = wait
sys.exit(run(["demo", "--port", "0"], debug=False))
"""
"""A demo whose model begins with nothing before there is a certain file, or a minute has gone by."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    words = ("-m", "dyto", "demo", "--port", "0", "--max-mb", "2", "--max-minutes", "1", "--model", "tiny")
    with demo_of(tmp_path_factory.mktemp("tmp"), *words) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "no Chromium on this machine: make test-demo installs one"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """A fresh visitor; no request may leave this machine, and nothing may be refused by the page's policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SLOW)
    visitor = context.new_page()
    strangers, complaints = [], []
    visitor.on("pageerror", lambda error: complaints.append(str(error)))
    visitor.on("request", lambda request: _foreign(request.url, address) and strangers.append(request.url))
    visitor.on("console", lambda message: "Content Security Policy" in message.text and complaints.append(message.text))
    visitor.goto(address)
    visitor.wait_for_selector("#ask")
    yield visitor
    context.close()
    assert not strangers
    assert not complaints


def _foreign(url, address):
    return not url.startswith((address, "data:", "blob:"))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    sample_video(path, 7)
    return path


@pytest.fixture(scope="module")
def report(film, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    words = ["inspect", str(film), "--strategy", "plus", "--versus", "uniform", "--out", str(path)]
    subprocess.run([sys.executable, "-m", "dyto", *words, "--question", "What comes first?"], check=True)
    return path


def upload(page, path):
    page.set_input_files("#file input[type=file]", str(path))


def answer_of(page, side="a"):
    found = page.locator(f"#answer-{side} .words")
    return found.inner_text() if found.count() else ""


def status_of(page):
    """What the page tells, without the clock that gradio lays over it while something is under way."""
    return page.locator(STATUS).inner_text().strip()


def begin(page, question):
    """Ask; the page is watched from now on."""
    page.locator("#question textarea").fill(question)
    page.evaluate(
        """() => { window.texts = []; window.ended = false;
        const talk = document.querySelector('#talk');
        // An observer sees every change, even of an answer that is there before one could look twice.
        window.observer = new MutationObserver(() => { window.ended = talk.getAttribute('aria-busy') == 'false' });
        observer.observe(talk, {attributeFilter: ['aria-busy']});
        window.watching = setInterval(() => {
            const said = document.querySelector('#answer-a .words')?.innerText;
            if (said && said != '…' && said != window.texts.at(-1)) window.texts.push(said) }, 5) }""",
    )
    page.locator("#ask").click()


def end(page):
    """Wait until the page says that it is done, and has drawn it; the texts of answer A that were shown on the way."""
    page.wait_for_function("window.ended", polling=50)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate("() => { observer.disconnect(); clearInterval(window.watching); return window.texts }")


def ask(page, question, side="a"):
    """Ask, and wait until answer and key frames are there; the texts that were shown on the way."""
    begin(page, question)
    texts = end(page)
    page.wait_for_function(
        """([side, place]) => { const status = document.querySelector(place);
        return status.querySelector('strong') || // an error
            (status.innerText.trim() == '' && document.querySelector(`#frames-${side} img`)) }""",
        arg=[side, STATUS],
        polling=50,
    )
    assert status_of(page) == ""
    return texts


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_opens_from_disk_without_a_network(browser, report, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    visitor = context.new_page()
    asked, said = [], []
    visitor.on("request", lambda request: asked.append(request.url))
    visitor.on("console", lambda message: said.append(message.text))
    visitor.goto(report.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert not said
    assert visitor.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    context.close()


def test_upload_ask_watch_the_answer_jump_and_ask_again(page, film):
    upload(page, film)
    page.wait_for_selector("#video video")
    start = time.perf_counter()
    texts = [text for text in ask(page, "Describe the scenes.") if text]
    first = time.perf_counter() - start
    for _ in range(4):  # where the machine is busy, one redraw may swallow all of an answer that takes a blink
        if len(texts) > 1:
            break
        texts = [text for text in ask(page, "Describe the scenes.") if text]
    assert len(texts) > 1  # it grew before the eyes
    assert texts[-1].startswith(texts[0].strip())
    assert "key frames" in page.locator("#answer-a .facts").inner_text()

    page.locator("#frames-a .shot").nth(2).click()
    page.wait_for_function("document.querySelector('#video video').currentTime > 0.5")
    part = page.locator("#line [data-second]").last
    part.click()
    page.wait_for_function(
        "second => Math.abs(document.querySelector('#video video').currentTime - second) < 0.1",
        arg=float(part.get_attribute("data-second")),
    )
    with page.expect_download() as waiting:
        page.locator("#frames .download a").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert len(archive.namelist()) == page.locator("#frames-a .shot").count() + 1

    start = time.perf_counter()
    ask(page, "Is there a red ring?")
    assert answer_of(page) in ("yes", "no")
    assert time.perf_counter() - start < max(first, 2.0)
    page.get_by_role("tab", name="What was merged").first.click()
    page.wait_for_selector("#maps-a img")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_of_subtitles_is_told_asked_with_and_taken_away(page, film, tmp_path, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello.\n")
    (tmp_path / "bad.srt").write_text("nothing")
    upload(page, film)
    page.wait_for_selector("#video video")
    page.get_by_role("button", name="Subtitles").click()
    page.set_input_files("#subtitles input[type=file]", str(tmp_path / "film.srt"))
    page.wait_for_function(
        "document.querySelector('#said').innerText.includes('film.srt: 1 line, from 1.0 s to 2.0 s')"
    )
    ask(page, "Is there a red ring?")
    assert "reads no subtitles, so those of film.srt were left out" in page.locator("#answer-a .notes").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("DYTO_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"subtitles-{width}-{scheme}.png"), full_page=True)
    page.locator("#subtitles").get_by_role("button", name="Clear").click()
    page.wait_for_selector("#said", state="hidden")
    ask(page, "Is there a blue ring?")
    assert "film.srt" not in page.locator("#answer-a").inner_text()
    page.set_input_files("#subtitles input[type=file]", str(tmp_path / "bad.srt"))
    page.wait_for_selector("#said strong")
    begin(page, "And now?")
    end(page)
    assert "bad.srt has no line with times" in status_of(page)
    page.get_by_role("button", name="Drawn shapes").click()  # another video has none of its own
    page.wait_for_selector("#said", state="hidden")


def test_turns_stand_above_the_next_question_and_go_with_the_video(page, film):
    upload(page, film)
    page.wait_for_selector("#video video")
    hostile = "Is ${alert(1)} {{alert}} <img src=x onerror=alert(2)> &lt;b&gt; shown?"
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    for question in ("Describe the scenes.", "Is there a red ring?", hostile):
        ask(page, question)
        assert page.locator("#question textarea").input_value() == ""
    assert page.locator(".turn .asked").all_inner_texts() == ["Describe the scenes.", "Is there a red ring?", hostile]
    last, box = page.locator(".turn").last.bounding_box(), page.locator("#question").bounding_box()
    assert last["y"] + last["height"] <= box["y"]
    times = page.locator(".facts").all_inner_texts()
    assert "reading the video took" in times[0]
    assert all("had been read before" in time for time in times[1:])
    assert len([note for note in page.locator(".notes li").all_inner_texts() if "dyto demo --model" in note]) == 1
    page.get_by_role("button", name="Drawn shapes").click()
    page.wait_for_function("!document.querySelector('.turn') && !document.querySelector('.shot')")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_key_frames_fill_their_box_and_come_after_the_answer(page, count, width, height):
    page.set_viewport_size({"width": width, "height": height})
    page.get_by_role("button", name="Drawn shapes").click()
    page.wait_for_function("document.querySelector('#question textarea').value.length > 0")
    ask(page, "Is there a red ring?")
    page.evaluate(
        """count => { const grid = document.querySelector('#frames-a .shots'), one = grid.firstElementChild;
        grid.classList.toggle('many', count > 24);
        grid.replaceChildren(...Array.from({length: count}, () => one.cloneNode(true))) }""",
        count,
    )
    boxes = [page.locator(place).last.bounding_box() for place in ("#seen", ".download", "#frames-a .shot")]
    seen, link, last = (box["y"] + box["height"] for box in boxes)
    assert last < link < last + 60  # nothing but the link below them, in two lines on a phone
    assert seen - link < 40
    first = page.locator("#frames-a .shot").first.bounding_box()
    assert 60 < first["width"] < 200
    answer = page.locator("#answer-a").bounding_box()
    assert answer["y"] + answer["height"] < first["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_people_see_nothing_of_each_other(page, browser, address, film):
    upload(page, film)
    page.wait_for_selector("#video video")
    ask(page, "Is there a red ring?")
    seen = [page.evaluate("document.querySelector('#video video').currentSrc")]
    seen += page.evaluate("[...document.querySelectorAll('#frames-a img')].map(image => image.src)")
    assert len(seen) > 2
    stranger = browser.new_context()
    for context, status in ((page.context, 200), (stranger, 404)):
        assert [context.request.get(url).status for url in seen] == [status] * len(seen)
    visitor = stranger.new_page()
    visitor.goto(address)
    visitor.wait_for_selector("#ask")
    assert [stranger.request.get(url).status for url in seen] == [404] * len(seen)
    stranger.close()
    page.reload()  # who loads the page again begins anew
    page.wait_for_selector("#ask")
    page.wait_for_function(
        "urls => Promise.all(urls.map(url => fetch(url))).then(all => all.every(found => found.status == 404))",
        arg=seen,
    )


def test_a_page_elsewhere_reads_nothing_and_does_nothing(browser, address, tmp_path):
    port = address.rstrip("/").rpartition(":")[2]
    context = browser.new_context()
    own = context.new_page()
    own.goto(address)
    own.wait_for_selector("#ask")
    elsewhere = context.new_page()
    elsewhere.route("http://localhost:1/", lambda route: route.fulfill(body="<p>", content_type="text/html"))
    elsewhere.goto("http://localhost:1/")
    tried = elsewhere.evaluate(
        """async port => {
        const told = [], form = new FormData();
        form.append('files', new Blob(['x']), 'x.mp4');
        for (const host of ['localhost', '127.0.0.1'])
            for (const [path, options] of [['config', {}], ['gradio_api/file=sample1.mp4', {}],
                                           ['gradio_api/upload', {method: 'POST', body: form}]])
                for (const mode of ['cors', 'no-cors'])
                    told.push(await fetch(`http://${host}:${port}/${path}`, {...options, mode, credentials: 'include'})
                        .then(found => found.type, () => 'refused'));
        const image = document.createElement('video');
        image.src = `http://localhost:${port}/gradio_api/file=sample1.mp4`;
        told.push(await new Promise(done => { image.onerror = () => done('refused'); image.onloadeddata = done; }));
        return told }""",
        port,
    )
    assert set(tried) <= {"refused", "opaque"}
    assert tried[-1] == "refused"
    context.close()


def test_a_sample_two_strategies_and_options(page):
    page.get_by_role("button", name="Shapes, with options").click()
    page.wait_for_function("document.querySelector('#options textarea').value.length > 0")
    page.get_by_text("how the video is read").click()
    page.locator("#versus input").click()
    page.get_by_role("option", name="uniform", exact=True).click()
    ask(page, page.locator("#question textarea").input_value(), side="b")
    for side in "ab":
        assert answer_of(page, side)
        assert "Option:" in page.locator(f"#answer-{side} .facts").inner_text()
    assert "uniform" in page.locator("#frames-b").inner_text()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("holiday.mp4", b"this is no video at all\n" * 20, "cannot be opened"),
        ("<img src=x onerror=alert(1)>.mp4", b"text", "cannot be opened"),
    ],
)
def test_a_text_file_is_told_to_the_person(page, tmp_path, name, content, message):
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    file = tmp_path / name
    file.write_bytes(content)
    upload(page, file)
    page.wait_for_function(f"document.querySelector('#status').innerText.includes({message!r})")
    assert "/" not in status_of(page)
    assert page.locator("#video video").count() == 0
    page.get_by_role("button", name="Drawn shapes").click()  # and it goes on
    page.wait_for_function("document.querySelector('#question textarea').value.length > 0")
    ask(page, "Is there a red ring?")
    assert answer_of(page)


def test_what_is_under_way_can_be_stopped_and_only_that(page):
    assert not page.locator("#stop").is_visible()
    page.get_by_role("button", name="Photographs").click()
    page.wait_for_function("document.querySelector('#question textarea').value.length > 0")
    page.evaluate("document.querySelector('#talk').setAttribute('aria-busy', 'true')")
    page.locator("#stop").click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('Stopped')")
    page.wait_for_selector("#stop", state="hidden")
    ask(page, "Is there a red ring?")
    assert answer_of(page)


def test_a_file_that_is_too_large_is_told_to_the_person(page, tmp_path):
    file = tmp_path / "large.mp4"
    file.write_bytes(b"\0" * 3_000_000)
    upload(page, file)
    page.wait_for_function("document.body.innerText.includes('exceed the maximum allowed size')")


@pytest.mark.parametrize(("width", "height"), [(390, 700), (1280, 900)])
def test_an_error_is_told_once_where_the_person_sees_it(page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    page.locator("#question textarea").fill("What is it?")
    page.locator("#ask").click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('no video yet')")
    page.wait_for_function(
        """place => { const box = document.querySelector(place).getBoundingClientRect();
        return box.height > 0 && box.top >= 0 && box.bottom <= window.innerHeight }""",
        arg=STATUS,
    )
    assert page.get_by_text("no video yet").count() == 1
    assert page.locator(STATUS).get_attribute("role") == "status"


def test_who_waits_is_told_so_and_leaves_the_line_by_stop_or_by_going(browser, tmp_path):
    go = tmp_path / "go"
    with demo_of(tmp_path, "-c", HELD, str(go)) as address:

        def visit(told):
            context = browser.new_context()
            context.set_default_timeout(SLOW)
            visitor = context.new_page()
            visitor.goto(address)
            visitor.get_by_role("button", name="Drawn shapes").click()
            visitor.wait_for_function("document.querySelector('#question textarea').value.length > 0")
            begin(visitor, "Is there a red ring?")
            hears(visitor, told)
            return visitor

        def hears(visitor, told):
            visitor.wait_for_function("([at, told]) => document.querySelector(at).innerText.trim() == told",
                                      arg=[STATUS, told])  # fmt: skip

        first = visit("waiting for the model")
        second = visit("another question is being answered first")
        assert "queue" not in second.locator("body").inner_text()
        third = visit("2 other questions are being answered first")
        fourth = visit("3 other questions are being answered first")
        second.locator("#stop").click()
        hears(second, "Stopped.")
        hears(fourth, "2 other questions are being answered first")
        third.context.close()
        hears(fourth, "another question is being answered first")
        go.touch()
        for visitor in (first, fourth):
            end(visitor)
            hears(visitor, "")
            assert answer_of(visitor) in ("yes", "no")
        assert not second.locator("#answer-a").is_visible()
        hears(second, "Stopped.")
        for visitor in (first, second, fourth):
            visitor.context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_at_any_width(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    empty = page.locator("#talk").bounding_box()["width"]
    page.get_by_role("button", name="Drawn shapes").click()
    page.wait_for_function("document.querySelector('#question textarea').value.length > 0")
    ask(page, "Is there a red ring?")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert abs(page.locator("#talk").bounding_box()["width"] - empty) < 20  # a scroll bar at most
    page.wait_for_function("[...document.querySelectorAll('#frames-a img')].every(i => i.complete && i.naturalWidth)")
    if folder := os.environ.get("DYTO_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"demo-{width}-{scheme}.png"), full_page=True)
