"""report.html in a real browser: hostile texts are shown as text, no script of theirs runs, keys and addresses work."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from evaluations import HOSTILE, card, hostile_record, record, summed_up
from headless_browser import Page, browser_page, find_browser

from decoding.rollout import Ledger
from envs.transcript import Segment
from eval.records import CandidateRecord
from eval.report import write_evaluation
from eval.report_html import page as write_page

pytestmark = pytest.mark.slow

LONG = "0123456789" * 100_000
# The second message of the prompt; a long text stands within an element of its own.
QUESTION = ".prompt .author:nth-of-type(2) + :is(pre, div)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report whose every text is hostile, and of 300 tasks."""
    directory = tmp_path_factory.mktemp("report")
    answers, cards = [], []
    for number, text in enumerate([*HOSTILE, LONG]):
        name = f"{number} {text[:60]}"
        cards.append(card(name, text, {"kind": text[:60], "__proto__": "label"}))
        answers.append(hostile_record(text, task=name, labels={"kind": text[:60], "__proto__": "label"}))
    for number in range(300 - len(cards)):
        name = f"plain {number}"
        cards.append(card(name, f"Question {number}?", {"kind": "plain"}))
        metrics = {"valid": float(number % 2), "content": None}
        answers.append(record(f"answer {number}", task=name, metrics=metrics, error=None if number % 2 else "wrong"))
    segments = tuple(Segment(author=author, text=author) for author in ("model", "environment", "model"))  # type: ignore[arg-type]
    unjudged = {"valid": None, "content": None}
    searched = record(task="plain 3", decoding="best_of_4", segments=segments, metrics=unjudged, unjudged="deadline")
    costs = {("best_of_4", "plain 3"): Ledger(verifier_calls=17)}
    evaluation = summed_up(*answers, searched)
    title = "<img src=x onerror='window.ran = 1'>"
    write_evaluation(
        directory, evaluation, title=title, model=title, resolved="a: 1", skipped={}, cards=cards, costs=costs
    )
    return (directory / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = find_browser()
    if path is None:
        pytest.skip("needs Chromium or Chrome (apt-get install chromium, or STRUCTRL_BROWSER=PATH)")
    with browser_page(path, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, report: str) -> Iterator[Page]:
    """A tab; afterwards nothing has run, failed or been asked for."""
    browser.problems.clear()
    browser.requests.clear()
    yield browser
    assert browser.value("window.ran") is None
    assert not browser.problems
    asked = {address for address in browser.requests if not address.startswith("data:")}
    assert asked <= {report, "about:blank"}


def shown(page: Page) -> str:
    """The heading of the task that is shown."""
    return page.value("document.querySelector('#task h2')?.textContent ?? ''")


def listed(page: Page) -> int:
    """The number of tasks in the list's page."""
    return page.value("document.querySelectorAll('#list li').length")


def test_hostile_texts_are_shown_as_text(page: Page, report: str) -> None:
    page.open(f"{report}#view=tasks")
    elements = "document.querySelectorAll('script, img, iframe, svg, link, style').length"
    before = page.value(elements)
    for number, text in enumerate(HOSTILE):
        page.press("j")
        page.wait(f"document.querySelector('#task h2')?.textContent.startsWith('{number} ')")
        page.value("document.querySelectorAll('#task details').forEach((each) => { each.open = true; })")
        page.wait("document.querySelectorAll('#task .chosen pre').length === 1")
        page.value("document.querySelectorAll('#task button.more').forEach((each) => each.click())")
        for place in (".answer pre.model", "pre.taken", "pre.reference", ".chosen pre", QUESTION):
            found = page.value(f"document.querySelector('#task {place}').textContent")
            assert found == (text or "(empty)"), (place, text[:50])
        facts = page.value("document.querySelector('#task pre.facts').textContent")
        assert json.loads(facts)["message"] == text
    assert page.value(elements) == before
    assert "<img src=x" in page.value("document.querySelector('h1').textContent + document.title")


def test_what_would_become_markup_all_the_same_is_stopped_by_the_policy(browser: Page, report: str) -> None:
    browser.open(report)
    browser.problems.clear()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        image = f"<img src='http://127.0.0.1:{port}/' onerror='window.ran = 1'>"
        attack = image + "<a href='javascript:window.ran = 1'>a</a>"
        browser.value(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(attack)})")
        browser.value("document.querySelector('body > a').click()")
        server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            server.accept()
    assert browser.value("window.ran") is None
    assert len([each for each in browser.problems if "Content Security Policy" in each]) >= 2


def test_a_megabyte_is_shown_in_part_and_in_full_when_asked(page: Page, report: str) -> None:
    page.open(f"{report}#view=tasks&q=0123456789")
    assert listed(page) == 1
    page.press("j")
    page.wait("document.querySelector('#task pre.taken') !== null")
    assert page.value("document.querySelector('#task pre.taken').textContent.length") == 20_000
    page.value("document.querySelector('#task pre.taken + button').click()")
    assert page.value("document.querySelector('#task pre.taken').textContent") == LONG


def test_an_address_names_a_task_and_filters(page: Page, report: str) -> None:
    page.open(f"{report}#view=tasks&state=right&label.kind=plain&task=plain+7")
    assert shown(page) == "plain 7"
    assert page.value("document.getElementById('count').textContent") == "139 of 300 tasks"
    assert listed(page) == 100
    page.open(f"{report}#view=tasks&state=unjudged&decoding=best_of_4")
    assert listed(page) == 1
    page.open(f"{report}#view=tasks&error=wrong&q=ANSWER+10%3F%3F")
    assert listed(page) == 0
    page.open(f"{report}#task=nowhere")
    assert "no task nowhere" in page.value("document.getElementById('task').textContent")


def test_every_state_of_the_filters_is_in_the_address_and_comes_back(page: Page, report: str) -> None:
    page.open(f"{report}#view=tasks")
    page.press("/")
    for character in "Question 12":
        page.press(character)
    page.wait("document.querySelectorAll('#list li').length === 11")
    page.value("document.getElementById('filter-1').value = 'wrong'")
    page.value("document.getElementById('filters').dispatchEvent(new Event('input'))")
    page.wait("document.querySelectorAll('#list li').length === 6")
    address = page.value("location.href")
    page.open(address)
    assert listed(page) == 6 and page.value("document.getElementById('q').value") == "Question 12"


def test_keys_go_through_the_list_over_its_pages(page: Page, report: str) -> None:
    page.open(f"{report}#view=tasks&label.kind=plain&task=plain+99")
    page.press("j")
    page.wait("document.querySelector('#task h2').textContent === 'plain 100'")
    assert "2 of 3" in page.value("document.getElementById('pages').textContent")
    page.press("k")
    page.wait("document.querySelector('#task h2').textContent === 'plain 99'")
    page.press("o")
    page.wait("!document.getElementById('overview').hidden")
    assert page.value("document.querySelectorAll('#overview img').length") == 3


def test_segments_and_costs_of_a_search_are_told_apart(page: Page, report: str) -> None:
    page.open(f"{report}#task=plain+3&decoding=best_of_4")
    blocks = "[...document.querySelector('.answer').querySelectorAll('pre.model, pre.environment')]"
    assert page.value(f"{blocks}.map((each) => each.className)") == ["model", "environment", "model"]
    model, environment, _ = page.value(f"{blocks}.map((each) => getComputedStyle(each).backgroundColor)")
    assert model != environment
    text = page.value("document.querySelector('.answer').textContent")
    assert "best_of_4" in text and "deadline" in text and "verifier calls, in all17" in text


def test_a_page_that_lacks_something_says_so_in_both_views(browser: Page, tmp_path: Path) -> None:
    candidates = (CandidateRecord(text="c" * 9000, score=0.5, digest="one", is_chosen=False, tokens=9),)
    answer = record("a", facts={"message": "m" * 9000}, candidates=candidates, unjudged="deadline")
    for most, told in ((5000, "the facts of verdicts. records.jsonl"), (50_000, "")):
        text = write_page(summed_up(answer), [], [], {}, title="T", model="m", resolved="", costs={}, most=most)
        (tmp_path / f"{most}.html").write_text(text, encoding="utf-8")
        for address in ("", "#task=task-1"):
            browser.open((tmp_path / f"{most}.html").as_uri() + address)
            note = browser.value("document.getElementById('left-out').textContent")
            assert told in note and bool(note) == bool(told)
            assert browser.value("document.getElementById('left-out').checkVisibility()") == bool(told)
        browser.value("document.querySelectorAll('#task details').forEach((each) => { each.open = true; })")
        browser.wait("document.querySelector('#task .candidate > :is(p, pre)') !== null")
        candidate = browser.value("document.querySelector('#task .candidate').textContent")
        assert "means one" in candidate and ("Its text is left out." in candidate) == bool(told)
        assert browser.value("document.querySelectorAll('#task pre.facts').length") == (0 if told else 1)
        assert "deadline" in browser.value("document.querySelector('#task').textContent")


def test_the_page_follows_the_systems_dark_and_light(page: Page, report: str, tmp_path: Path) -> None:
    page.open(report)
    backgrounds = []
    for dark in (False, True):
        page.screenshot(tmp_path / f"{dark}.png", dark=dark)
        backgrounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(22, 24, 28)"]
    assert (tmp_path / "True.png").read_bytes() != (tmp_path / "False.png").read_bytes()
