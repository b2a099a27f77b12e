"""The annotator's and the lead's page in a real browser, against the real service: keys in, votes out."""

import json
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from stickers.artifacts.records import Vote
from tests.support.processes import wait_for

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 800}
#: Which frame each sticker shows, screen by screen: at least 60 times, and until so many of them differ
SAMPLE = """(different) => new Promise((done) => {
    const samples = [];
    const look = () => {
        samples.push([...document.querySelectorAll(".board canvas")].map((each) => Number(each.dataset.frame)));
        const enough = samples.length >= 60 && new Set(samples.map(String)).size >= (different ?? 1);
        enough ? done(samples) : requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""
DRAWN = """() => [...document.querySelectorAll(".board canvas")].map((each) =>
    each.getContext("2d").getImageData(0, 0, each.width, each.height).data.some((value) => value > 0))"""

Open = Callable[..., Any]
#: what a test does with a request of the page
Handler = Callable[[Any], None]


@pytest.fixture
def database(populated: Any, tmp_path: Path) -> str:
    """A database of people and jobs; which kind makes no difference to a page."""
    return str(populated(None, tmp_path / "votes.db"))


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens an address in a browser of its own; fails the test on an error in a page, the CSP's complaints too."""
    troubles: list[str] = []

    def listen(message: Any) -> None:
        # a refusal by the server, or a network that the test cut, is no error of the page
        if message.type == "error" and "Failed to load resource" not in message.text:
            troubles.append(message.text)

    def open_(address: str, routes: dict[str, Handler] | None = None, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.on("weberror", lambda error: troubles.append(str(error.error)))
        context.on("console", listen)
        # Before the page opens: Chromium lets requests pass that follow at once on a route of an open page.
        for pattern, handle in (routes or {}).items():
            context.route(pattern, handle)
        page = context.new_page()
        page.goto(address)
        return page

    yield open_
    assert not troubles


def choosing(page: Any, *, preloaded: bool = True) -> Any:
    """Wait for a job on the page, and for the one after it to be decoded."""
    page.locator(".board .card").first.wait_for()
    if preloaded:
        page.locator('#desk[data-ready="1"]').wait_for()
    return page


def shown_clips(page: Any) -> list[str]:
    clips: list[str] = page.locator(".board canvas").evaluate_all(
        "all => all.map((each) => each.dataset.clip)"
    )
    return clips


def all_saved(page: Any) -> None:
    page.locator('#saved[data-waiting="0"]').wait_for()


def picked(page: Any) -> list[int]:
    """Which stickers are picked, from 1, as a screen reader is told."""
    labels = page.locator('.pick[aria-pressed="true"]').evaluate_all(
        "all => all.map((each) => each.ariaLabel)"
    )
    assert all(label.endswith(", picked") for label in labels)
    return [int(label.split()[1].rstrip(",")) for label in labels]


def votes_on(annotation: Any, clips: list[str]) -> list[Vote]:
    return sorted(
        (vote for vote in annotation.votes() if sorted(vote.shown) == sorted(clips)),
        key=lambda vote: vote.revision,
    )


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("picks", [(), (2,), (1, 4), (6, 3, 1), (1, 2, 3, 4, 5, 6)])
def test_k_picks_take_k_and_one_presses_and_none_takes_one(
    annotation: Any, open_page: Open, picks: tuple[int, ...]
) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips, keys = shown_clips(page), [*map(str, picks), "Enter"] if picks else ["n"]
    assert len(clips) == 6
    press(page, *keys)
    assert shown_clips(page) != clips, "the answer is given, so the next job is there"
    all_saved(page)
    (vote,) = votes_on(annotation, clips)
    assert vote.shown == clips, "the vote tells the order in which the person saw them"
    assert sorted(vote.picks) == sorted(clips[pick - 1] for pick in picks)
    assert (vote.annotator, vote.revision, vote.simulated) == ("ann", 0, False)
    assert vote.started_at <= vote.submitted_at


def test_enter_with_nothing_picked_asks_once(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    press(page, "Enter")
    assert shown_clips(page) == clips and "Nothing is picked" in page.locator("#said").inner_text()
    press(page, "Enter")
    assert shown_clips(page) != clips
    all_saved(page)
    assert [vote.picks for vote in votes_on(annotation, clips)] == [[]]


def test_undo_back_and_a_changed_answer(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    press(page, "1", "5", "u")
    assert picked(page) == [1]
    press(page, "3", "Control+z", "Enter")
    choosing(page)
    following = shown_clips(page)
    press(page, "2", "b")
    assert shown_clips(page) == clips and picked(page) == [1]
    press(page, "1", "4", "6", "Enter")
    assert shown_clips(page) == following and picked(page) == [2], "what was begun is still there"
    all_saved(page)
    last = votes_on(annotation, clips)[-1]
    assert (last.revision, sorted(last.picks)) == (1, sorted([clips[3], clips[5]]))
    press(page, "ArrowLeft", "Enter")  # looked at and left as it was: nothing to save
    assert shown_clips(page) == following
    all_saved(page)
    assert votes_on(annotation, clips)[-1].revision == 1


def test_undo_after_none_goes_back_to_it_even_after_a_reload(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    press(page, "n")
    all_saved(page)
    page.reload()
    choosing(page)
    press(page, "u")
    page.locator(f'.board canvas[data-clip="{clips[0]}"]').wait_for()
    assert shown_clips(page) == clips and picked(page) == []
    press(page, "2", "Enter")
    all_saved(page)
    assert votes_on(annotation, clips)[-1].picks == [clips[1]]


def test_skip_with_a_reason(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    reason = page.evaluate("fetch('api/me').then((me) => me.json()).then((me) => me.skip_reasons[1])")
    with page.expect_request("**/skip") as sent:
        press(page, "s", "2")
    assert sent.value.post_data_json["reason"] == reason
    choosing(page)
    assert shown_clips(page) != clips
    all_saved(page)
    with page.expect_request("**/skip") as sent:
        press(page, "s")
        page.get_by_label("Something else").fill("2 of them are the same")
        press(page, "Enter")
    assert sent.value.post_data_json["reason"] == "2 of them are the same"
    all_saved(page)
    page.reload()
    choosing(page)
    assert shown_clips(page) != clips and not votes_on(annotation, clips)


def test_a_flagged_sticker_is_not_picked(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    press(page, "3", "4", "f", "3", "u", "f", "5", "b", "f", "6", "b", "f", "6", "0", "3")
    assert picked(page) == [4] and "flagged as unsafe" in page.locator("#said").inner_text()
    assert page.get_by_role("button", name="Sticker 3, flagged as unsafe").is_visible()
    press(page, "Enter")
    all_saved(page)
    (vote,) = votes_on(annotation, clips)
    assert vote.picks == [clips[3]]
    assert dict(zip(vote.flagged, vote.flags, strict=True)) == {clips[2]: "unsafe", clips[4]: "broken"}


def test_every_key_has_a_button(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    page.get_by_role("button", name="Sticker 2", exact=True).click()
    page.locator(".card").nth(3).hover()
    page.get_by_role("button", name="Zoom sticker 4").click()
    page.get_by_role("button", name="Pick", exact=True).click()
    press(page, "Escape")
    page.locator(".card").nth(0).hover()
    page.get_by_role("button", name="Flag sticker 1").click()
    page.get_by_role("button", name="Broken").click()
    assert picked(page) == [2, 4]
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Submit 2 stickers").click()
    assert shown_clips(page) != clips
    page.get_by_role("button", name="Back", exact=True).click()
    assert picked(page) == [2, 4] and page.get_by_text("Answered before").is_visible()
    page.get_by_role("button", name="Forward").click()
    page.get_by_role("button", name="I wouldn’t share any of these").click()
    all_saved(page)
    (vote,) = votes_on(annotation, clips)
    assert (vote.picks, vote.flagged) == ([clip for clip in clips if clip in (clips[1], clips[3])], [])


def test_a_focused_control_keeps_its_own_keys(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    page.get_by_role("button", name="Sticker 3", exact=True).focus()
    press(page, "Enter")
    assert picked(page) == [3] and shown_clips(page) == clips
    press(page, " ")
    assert picked(page) == [] and page.get_by_role("button", name="Pause", exact=True).is_visible()
    press(page, "3", "Control+Enter")
    assert shown_clips(page) != clips
    assert page.evaluate("document.activeElement.id") == "board", "a new job takes the focus"


# -- playing --------------------------------------------------------------------------------------


def job_of(page: Any) -> dict[str, Any]:
    """The job on the page, as the server described it."""
    choosing(page)
    with page.expect_response("**/api/next") as answer:
        page.reload()
    job: dict[str, Any] = answer.value.json()["job"]
    choosing(page)
    assert [clip["id"] for clip in job["clips"]] == shown_clips(page)
    return job


def test_six_stickers_stay_within_one_frame(annotation: Any, open_page: Open) -> None:
    page = open_page(annotation.link("ann"))
    job = job_of(page)
    samples = page.evaluate(SAMPLE, 4)  # they play
    assert {len(sample) for sample in samples} == {6}
    kinds = [(clip["frames"], clip["fps"]) for clip in job["clips"]]
    for sample in samples:
        for kind in set(kinds):
            alike = [frame for frame, kind in zip(sample, kinds, strict=True) if kind == kind]
            apart = [min((a - b) % kind[0], (b - a) % kind[0]) for a in alike for b in alike]
            assert max(apart) <= 1, sample


def test_pause_frames_speed_and_background(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    press(page, " ")
    stills = {tuple(sample) for sample in page.evaluate(SAMPLE)}
    assert len(stills) == 1 and page.get_by_role("button", name="Play", exact=True).is_visible()
    press(page, ".")
    further = page.evaluate(SAMPLE)[0]
    assert further not in [list(still) for still in stills]
    press(page, ",")
    assert tuple(page.evaluate(SAMPLE)[0]) in stills
    press(page, "[", "[", "]")
    assert page.get_by_role("button", name="Half speed").get_attribute("aria-pressed") == "true"
    grounds = [page.locator("#board").get_attribute("data-ground")]
    for _ in range(3):
        press(page, "g")
        grounds.append(page.locator("#board").get_attribute("data-ground"))
    assert len(set(grounds)) == 4
    page.reload()
    assert choosing(page).locator("#board").get_attribute("data-ground") == grounds[-1]


def test_reduced_motion_stands_still_until_asked(annotation: Any, open_page: Open) -> None:
    page = open_page(annotation.link("ann"), reduced_motion="reduce")
    job = job_of(page)
    middle = [clip["frames"] // 2 for clip in job["clips"]]
    assert {tuple(sample) for sample in page.evaluate(SAMPLE)} == {tuple(middle)}
    press(page, "n")
    choosing(page)
    assert len({tuple(sample) for sample in page.evaluate(SAMPLE)}) == 1
    moving = page.evaluate("() => document.getAnimations().length")
    assert moving == 0
    page.get_by_role("button", name="Play", exact=True).click()
    page.evaluate(SAMPLE, 2)


def test_the_next_job_needs_no_request(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    before = shown_clips(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.context.route("**/*", lambda route: route.abort())
    press(page, "1", "Enter")
    assert not set(shown_clips(page)) & set(before)
    assert page.evaluate(DRAWN) == [True] * 6
    took = "() => performance.getEntriesByName('next-job').map((each) => [each.detail, each.duration])"
    wait_for(lambda: page.evaluate(took))  # it is noted once the next screen is shown
    ((_, milliseconds),) = page.evaluate(took)
    assert milliseconds > 0, "a benchmark reads it"
    assert all(url.endswith("/answer") for url in requests), requests


# -- saving ---------------------------------------------------------------------------------------


def test_a_cut_network_is_said_survives_a_reload_and_is_made_up_for(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann"), {"**/answer": lambda route: route.abort()}))
    clips = shown_clips(page)
    press(page, "2", "5", "Enter")
    page.get_by_role("status").get_by_text("1 answer unsaved: the network is away").wait_for()
    requests: list[str] = []

    def decide(dialog: Any) -> None:
        requests.append(dialog.type)
        dialog.dismiss() if len(requests) == 1 else dialog.accept()

    page.on("dialog", decide)
    page.close(run_before_unload=True)
    wait_for(lambda: page.evaluate("1") and requests)
    assert requests == ["beforeunload"] and not page.is_closed(), "the person stays"
    page.reload()
    assert requests == ["beforeunload"] * 2
    page.get_by_role("status").get_by_text("1 answer unsaved").wait_for()
    choosing(page, preloaded=False)
    assert not set(shown_clips(page)) & set(clips) and not votes_on(annotation, clips)
    page.context.unroute("**/answer")
    all_saved(page)
    assert [vote.picks for vote in votes_on(annotation, clips)] == [[clips[1], clips[4]]]
    page.get_by_role("status").get_by_text("All saved").wait_for()
    page.reload()
    assert requests == ["beforeunload"] * 2, "nothing is unsaved, so nobody is asked"


def test_offline_nobody_runs_further_ahead_than_what_is_loaded(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    first = shown_clips(page)
    page.context.set_offline(True)
    press(page, "1", "Enter")
    second = shown_clips(page)
    press(page, "6", "Enter")
    page.get_by_text("The next stickers come when your answers are saved.").wait_for()
    page.get_by_role("status").get_by_text("2 answers unsaved").wait_for()
    page.context.set_offline(False)
    all_saved(page)
    choosing(page)
    assert not set(shown_clips(page)) & {*first, *second}
    assert [vote.picks for vote in votes_on(annotation, first)] == [[first[0]]]
    assert [vote.picks for vote in votes_on(annotation, second)] == [[second[5]]]


def test_a_lost_acknowledgement_makes_no_second_vote(annotation: Any, open_page: Open) -> None:
    lost: list[int] = []
    away = Event()

    def lose(route: Any) -> None:
        if away.is_set():
            return route.continue_()
        if not lost:
            lost.append(route.fetch().status)
        route.abort()

    page = choosing(open_page(annotation.link("ann"), {"**/answer": lose}))
    clips = shown_clips(page)
    press(page, "4", "Enter")
    page.get_by_role("status").get_by_text("1 answer unsaved").wait_for()
    away.set()
    all_saved(page)
    assert lost == [200] and [vote.picks for vote in votes_on(annotation, clips)] == [[clips[3]]]


def test_a_refusal_is_told_and_not_tried_for_ever(annotation: Any, open_page: Open) -> None:
    sent: list[str] = []

    def refuse(route: Any) -> None:
        sent.append(route.request.url)
        route.fulfill(status=409, json={"detail": "Others have answered this job meanwhile."})

    page = choosing(open_page(annotation.link("ann"), {"**/answer": refuse}))
    press(page, "1", "Enter")
    page.get_by_role("alert").get_by_text("Others have answered this job meanwhile.").wait_for()
    all_saved(page)
    page.get_by_role("button", name="Understood").click()
    choosing(page)
    assert len(sent) == 1


def test_a_busy_server_is_asked_again_when_it_said(annotation: Any, open_page: Open) -> None:
    codes = cycle([503, 429])
    sent: list[int] = []
    free = Event()

    def busy(route: Any) -> None:
        if free.is_set():
            return route.continue_()
        sent.append(next(codes))
        route.fulfill(status=sent[-1], headers={"Retry-After": "1"}, json={"detail": "Too much at once."})

    page = choosing(open_page(annotation.link("ann"), {"**/answer": busy}))
    clips = shown_clips(page)
    press(page, "1", "Enter")
    page.get_by_role("status").get_by_text(
        "1 answer unsaved: Too much at once; kept in this browser"
    ).wait_for()
    wait_for(lambda: page.evaluate("1") and len(sent) >= 2)
    free.set()
    all_saved(page)
    assert len(votes_on(annotation, clips)) == 1


def test_signed_out_midway_nothing_is_lost(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    page.context.clear_cookies()
    press(page, "3", "Enter")
    page.get_by_text("You are signed out by now.").wait_for()
    page.get_by_role("status").get_by_text("1 answer unsaved: you are signed out").wait_for()
    assert page.locator("#desk").is_hidden()
    page.goto(annotation.link("ann"))
    all_saved(page)
    choosing(page)
    assert [vote.picks for vote in votes_on(annotation, clips)] == [[clips[2]]]


def test_a_reload_keeps_what_is_chosen_so_far(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    clips = shown_clips(page)
    press(page, "2", "6")
    page.reload()
    choosing(page)
    assert shown_clips(page) == clips and picked(page) == [2, 6]


# -- who, and on what -----------------------------------------------------------------------------


def test_a_link_leaves_the_address_and_a_wrong_one_is_told(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("bob")))
    assert page.url.rstrip("/") == annotation.url.rstrip("/") and page.locator("#name").inner_text() == "bob"
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    page.get_by_label("Name").fill("bob")
    page.get_by_label("Password").fill("not the password")
    press(page, "Enter")
    page.get_by_role("alert").wait_for()
    away = Event()
    cut = {"**/api/sign-in": lambda route: route.abort() if away.is_set() else route.continue_()}
    other = open_page(f"{annotation.url}/#sign-in=nonsense", cut)
    other.locator("#door-why").wait_for()
    assert "nonsense" not in other.url and other.locator("#door-why").inner_text()
    away.set()
    other.goto(annotation.link("cid"))
    other.get_by_text("the network is away; trying again").wait_for()
    away.clear()
    choosing(other)


HOSTILE = [
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">",
    "قطة ترقص\u202e evil",
    "a very long cat " * 320,
]


def test_prompts_are_text_and_never_markup(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))

    def disguise(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        for index, clip in enumerate(body["job"]["clips"] if body["job"] else ()):
            clip["prompt"] = HOSTILE[index // 2]
        route.fulfill(response=answer, body=json.dumps(body))

    page.context.route("**/api/next", disguise)
    page.reload()
    choosing(page, preloaded=False)
    prompts = page.locator("#prompts p")
    assert [text.strip() for text in prompts.all_text_contents()] == [text.strip() for text in HOSTILE]
    assert page.locator(".caption").nth(0).text_content() == HOSTILE[0]
    assert page.title() == "Which would you share?" and page.locator("main img, main script").count() == 0
    directions = prompts.evaluate_all("all => all.map((each) => getComputedStyle(each).direction)")
    assert directions == ["ltr", "rtl", "ltr"]
    assert page.get_by_role("button", name="Submit").is_visible()
    page.get_by_role("button", name="Show all").last.click()
    page.get_by_role("button", name="Show less").wait_for()
    inside = page.get_by_role("button", name="I wouldn’t share any of these").bounding_box()
    assert inside["y"] + inside["height"] <= DESKTOP["height"]
    assert Axe().run(page).violations_count == 0


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (2560, 1440)])
def test_all_is_on_one_screen(annotation: Any, open_page: Open, size: tuple[int, int]) -> None:
    page = choosing(open_page(annotation.link("ann"), viewport={"width": size[0], "height": size[1]}))
    for selector in (".pick", "#prompts p", "#criteria dd", "#submit", "#none"):
        for box in [element.bounding_box() for element in page.locator(selector).all()]:
            assert box["x"] >= 0 and box["x"] + box["width"] <= size[0], selector
            assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], selector
    assert min(element.bounding_box()["width"] for element in page.locator(".pick").all()) >= size[1] / 3


@pytest.mark.parametrize("size", [(390, 844), (360, 640)])
def test_a_phone_reaches_everything_by_finger(
    annotation: Any, open_page: Open, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page = choosing(open_page(annotation.link("cid"), viewport=viewport, has_touch=True, is_mobile=True))
    clips = shown_clips(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    lefts = {round(element.bounding_box()["x"]) for element in page.locator(".pick").all()}
    assert len(lefts) == 2
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box["width"] >= 24 and box["height"] >= 32, button.inner_text()
    for number in (1, 6):
        page.get_by_role("button", name=f"Sticker {number}", exact=True).tap()
    page.get_by_role("button", name="Flag sticker 4").tap()
    page.get_by_role("button", name="Unsafe").tap()
    page.get_by_role("button", name="Zoom sticker 5").tap()
    page.get_by_role("button", name="Close").tap()
    page.get_by_text("Share it only if").tap()
    page.locator("#criteria dd").last.wait_for()
    page.get_by_role("button", name="Submit 2 stickers").tap()
    all_saved(page)
    (vote,) = votes_on(annotation, clips)
    assert (sorted(vote.picks), vote.flagged) == (sorted([clips[0], clips[5]]), [clips[3]])


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.long),
        pytest.param(390, "light", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing(annotation: Any, open_page: Open, scheme: str, width: int) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}

    def check(page: Any, state: str) -> None:
        results = Axe().run(page)
        assert results.violations_count == 0, f"{state}: {results.generate_report()}"

    page = open_page(annotation.url, **options)
    page.get_by_role("button", name="Sign in").wait_for()
    check(page, "sign-in")
    page = choosing(open_page(annotation.link("ann"), **options))
    check(page, "chooser")
    press(page, "1", "f", "2", "b", "Enter", "b")
    page.get_by_text("Answered before").wait_for()
    check(page, "an answered job")
    for keys, state in (("?", "keys"), (("z", "1"), "zoom"), (("f", "1"), "flag")):
        press(page, *keys)
        check(page, state)
        press(page, "Escape")
    all_saved(page)
    page = lead_page(annotation, open_page, **options)
    check(page, "lead")
    page.get_by_role("button", name="Retire votes: ann").click()
    check(page, "retiring")


# -- the lead -------------------------------------------------------------------------------------


def test_the_leads_page_is_for_leads(annotation: Any, open_page: Open) -> None:
    page = choosing(open_page(annotation.link("ann")))
    assert page.get_by_role("link", name="Lead’s page").count() == 0
    page.goto(f"{annotation.url}/lead")
    page.get_by_text("This page is for leads").wait_for()
    assert page.locator("#all").is_hidden()
    expect(open_page(f"{annotation.url}/lead").locator("#refused")).to_contain_text("Sign in as a lead")


def lead_page(annotation: Any, open_page: Open, **options: Any) -> Any:
    page = open_page(annotation.link("lea"), **options)
    page.get_by_role("link", name="Lead’s page").click()
    page.locator("#people tbody tr").first.wait_for()
    return page


def test_a_lead_adds_a_person_who_can_start(annotation: Any, open_page: Open) -> None:
    page = lead_page(annotation, open_page)
    page.get_by_label("Name").fill("dan")
    page.get_by_role("button", name="Add a person").click()
    page.get_by_role("heading", name="Sign-in link for dan").wait_for()
    link = page.get_by_label("Link", exact=True).input_value()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#link-text")).to_have_value("")  # it is shown once
    page.locator("#people").get_by_role("row", name="dan").wait_for()
    assert choosing(open_page(link)).locator("#name").inner_text() == "dan"
    page.get_by_role("button", name="Deactivate: dan").click()
    page.get_by_role("button", name="Activate: dan", exact=True).wait_for()
    page.get_by_role("button", name="Retire votes: dan").click()
    page.get_by_label("Reason").fill("a trial")
    page.get_by_role("button", name="Retire their votes").click()
    page.get_by_role("button", name="Restore votes: dan").wait_for()
    page.locator("#log tbody").get_by_text("dan").first.wait_for()


def test_what_a_lead_edits_is_left_alone_until_saved(annotation: Any, open_page: Open) -> None:
    page = lead_page(annotation, open_page)
    gold = page.get_by_label("Share of gold jobs")
    gold.fill("0.25")
    page.get_by_role("button", name="Pause the work").click()  # shows a fresh summary
    page.get_by_role("button", name="Resume the work").wait_for()
    assert gold.input_value() == "0.25" and page.get_by_text("changed, not saved").is_visible()
    waiting = open_page(annotation.link("bob"))
    waiting.locator(".nothing").get_by_role("button", name="Look again").wait_for()
    page.get_by_role("button", name="Resume the work").click()
    page.get_by_role("button", name="Pause the work").wait_for()
    waiting.get_by_role("button", name="Look again").click()
    choosing(waiting)
    page.get_by_role("button", name="Save settings").click()
    page.locator("#settings-save:disabled").wait_for()
    page.reload()
    page.locator("#people tbody tr").first.wait_for()
    assert page.get_by_label("Share of gold jobs").input_value() == "0.25"


def answer_all(link: str, choose: Callable[[list[str]], list[str]]) -> None:
    """A person who answers whatever there is, without a browser."""
    address, token = link.split("/#sign-in=")
    with httpx.Client(base_url=address, timeout=60, headers={"Origin": address}) as client:
        me = client.post("/api/sign-in", json={"token": token}).raise_for_status().json()
        client.headers["X-CSRF-Token"] = me["csrf"]
        job = client.post("/api/next", json={"have": []}).json()["job"]
        while job:
            answer = {"picks": choose([clip["id"] for clip in job["clips"]]), "flags": {}, "revision": 0}
            sent = client.post(
                f"/api/jobs/{job['job_id']}/answer", json={**answer, "seconds": 1.0, "have": []}
            )
            job = sent.raise_for_status().json()["job"]


def check_rates(page: Any) -> None:
    """Each row of the keep rates says in numbers what its bar shows."""
    rows = page.locator("#rates tbody tr").all()
    assert rows
    for row in rows:
        judged, kept = (int(row.locator("td").nth(at).inner_text().replace(",", "")) for at in (1, 2))
        low, high = (float(end.split()[0]) for end in row.locator("td").nth(4).inner_text().split(" to "))
        assert 0 <= low <= 100 * kept / judged + 0.05 and 100 * kept / judged - 0.05 <= high <= 100
        top = float(page.locator("#rates-axis").inner_text().split()[-2])
        start, end = (float(row.locator("svg line").nth(1).get_attribute(key)) for key in ("x1", "x2"))
        assert start * top / 100 == pytest.approx(low, abs=1) and end * top / 100 == pytest.approx(
            high, abs=1
        )


def test_a_lead_decides_what_others_disagree_about(annotation: Any, open_page: Open) -> None:
    answer_all(annotation.link("ann"), lambda clips: clips)
    answer_all(annotation.link("bob"), lambda clips: [])
    answer_all(annotation.link("cid"), lambda clips: sorted(clips)[:3])
    page = lead_page(annotation, open_page)
    page.get_by_role("link", name="Decide them").click()
    page.get_by_role("heading", name="Decide what others disagree about").wait_for()
    choosing(page, preloaded=False)
    clips = shown_clips(page)
    tallies = page.locator(".tally").all_inner_texts()
    assert len(tallies) == len(clips) and all("would share" in tally for tally in tallies)
    press(page, "1", "Enter")
    all_saved(page)
    choosing(page, preloaded=False)
    assert shown_clips(page) != clips
    ruled = [vote for vote in annotation.votes() if vote.annotator == "lea"]
    assert [(vote.kind, vote.shown, vote.picks) for vote in ruled] == [("ruling", clips, clips[:1])]
    page.get_by_role("link", name="Lead’s page").click()
    page.get_by_text(f" {len(clips)} decided").wait_for()
    check_rates(page)
