"""Reports and releases as pages."""

from __future__ import annotations

import base64
import hashlib
import math
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given

from tests.webhook.explain_documents import NAMES, damaged, document
from webhook.explain import bar, page

VOID = {"meta", "link", "br", "img", "source"}
ELEMENTS = {
    "html", "head", "meta", "link", "title", "style", "body", "header", "main", "section", "nav", "h1", "h2", "h3", "p",
    "a", "b", "strong", "small", "span", "time", "br", "dl", "div", "dt", "dd", "ul", "ol", "li", "table", "thead",
    "tbody", "tr", "th", "td", "meter", "details", "summary", "pre", "code", "svg", "line", "path", "circle", "text",
    "picture", "source", "img",
}  # fmt: skip
CLOSED_BY_ITSELF = {"line", "path", "circle"}


class Reader(HTMLParser):
    """Collect elements, attributes and text; complain where elements do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in CLOSED_BY_ITSELF
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def all(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]


def attempt(name: str) -> dict:
    """Return the document of the attempt that a report is about, as the store keeps it."""
    report = document(name)
    detail = report["detail"]
    return {
        **report["release"],
        "stable_revision": detail["stable_revision"],
        "annotation": detail["annotation"] or "",
        "policies": {report["policy"].split("@")[0]: {}},
        "started_at": 1795428000.0,
        "ended_at": None,
        "history": detail["history"],
        "closing": detail.get("closing"),
    }


def pages() -> dict[str, str]:
    made = {f"report {name}": page.render(document(name)) for name in NAMES}
    made["releases"] = page.releases([attempt(name) for name in NAMES])
    made["no releases"] = page.releases([])
    made["release"] = page.release(attempt("hostile"), [document(name) for name in NAMES])
    return made


PAGES = pages()


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES)
def test_a_page_is_well_formed_and_closed(html):
    """Elements nest, come from a short list, and none runs, styles or loads anything by itself."""
    read = Reader(html)
    assert {tag for tag, _ in read.elements} <= ELEMENTS
    names = {name for _, attrs in read.elements for name in attrs}
    assert not {name for name in names if name.startswith("on") or name in {"style", "srcdoc", "action"}}
    assert all(source.startswith("/v1/reports/") for source in (*read.all("src"), *read.all("srcset")))
    assert [tag for tag, _ in read.elements].count("h1") == 1
    assert all(link.startswith(("/v1/", "#")) or link == "data:," for link in read.all("href"))
    ids = read.all("id")
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in read.all("href") if link.startswith("#")} <= set(ids)
    assert dict(read.elements)["html"] == {"lang": "en"}


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES)
def test_the_policy_of_the_page_fits_its_style(html):
    """The content security policy allows the style sheet in the page and no other source of anything."""
    digest = base64.b64encode(hashlib.sha256(Reader(html).style.encode()).digest()).decode()
    allowed = dict(rule.split(" ", 1) for rule in page.CONTENT_SECURITY_POLICY.split("; "))
    assert allowed["style-src"] == f"'sha256-{digest}'"
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "'self' data:"
    assert "script-src" not in allowed


def test_hostile_names_are_text():
    """Markup in names, reasons and queries is shown, never obeyed."""
    read = Reader(PAGES["report hostile"])
    for number in (1, 3, 4, 6, 7):
        assert f"<script>alert({number})</script>" in read.text
    assert '"><img src=x onerror=alert(2)>' in read.text
    assert "\x1b" not in read.text


def test_links_of_hostile_names_stay_inside():
    """A name with slashes and quotes is one segment of a path, and is found again by decoding it."""
    wild = {"namespace": "a/b?c#d", "name": '"><x', "revision": "../..%2f"}
    links = [link for link in Reader(page.releases([wild])).all("href") if "a%2Fb" in link]
    namespace, name, revision = (unquote(part) for part in urlsplit(links[-1]).path.split("/")[3:])
    assert {"namespace": namespace, "name": name, "revision": revision} == wild


def test_links_carry_the_path_of_the_service():
    """Behind a path the links of a page lead through it."""
    links = Reader(page.render(document("hold"), base="/t/abc")).all("href")
    assert all(link.startswith(("/t/abc/v1/", "#", "data:")) for link in links)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("hold", "57/5,700 = 1.0 %", id="counts"),
        pytest.param("hold", "1.3x (0.98x to 1.7x)", id="effect"),
        pytest.param("hold", "about 2,100 more canary requests, 4 min at 10 %; 95 s at 25 %", id="forecast"),
        pytest.param("hold", 'code=~"5.."', id="queries"),
        pytest.param("abort", "abort at 1,000 : 1 reached", id="proof"),
        pytest.param("left_out", "matches both selectors", id="left out"),
        pytest.param("left_out", "1.4x (at least 0.9x)", id="an endless bound"),
        pytest.param("override", "would abort; mode shadow answers promote", id="mode"),
        pytest.param("override", "WOULD ABORT (answers PROMOTE)", id="both verdicts"),
        pytest.param("closed", "promoted at 2026-11-23 10:08:17Z after 8 min", id="closed"),
        pytest.param("degraded", "No question could be asked.", id="no evidence"),
    ],
)
def test_a_page_tells(name, words):
    """What the text tells, the page tells too."""
    assert words in Reader(page.render(document(name))).text


def test_a_release_lists_its_verdicts():
    """The page of a release links every report and tells its verdict."""
    reports = [document(name) for name in ("abort", "override")]
    read = Reader(page.release(attempt("abort"), reports))
    assert f"/v1/reports/{reports[0]['id']}" in read.all("href")
    assert "would abort (answers promote)" in read.text


def test_a_release_tells_what_it_is():
    """The page of a release names its revision, what it is compared with, its policy, start and end."""
    read = Reader(page.release(attempt("closed"), []))
    for words in (
        "6c54bd4f4b",
        "5d9c7f66d8",
        "checkout",
        "2026-11-23 10:00:00Z",
        "promoted at",
        "No verdict has been kept.",
    ):
        assert words in read.text


def test_data_without_a_release_has_no_link_to_one():
    """A report on inline data that names no release leads to none."""
    assert not [link for link in Reader(PAGES["report inline"]).all("href") if "/v1/releases/" in link]


@given(damaged())
def test_a_damaged_document_is_still_a_page(report):
    """Whatever is missing or of a wrong type, there is a well-formed page."""
    assert "None" not in Reader(page.render(report)).text
    who = report.get("release")
    Reader(page.release(who if isinstance(who, dict) else {}, [report]))


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        pytest.param(
            {"measure": "ratio", "estimate": 1.0, "low": 0.5, "high": 2.0},
            (8.0, 100.0, 192.0, False, False),
            id="whole line",
        ),
        pytest.param(
            {"measure": "ratio", "estimate": 2.0, "low": 1.0, "high": 4.0},
            (100.0, 146.0, 192.0, False, False),
            id="wider",
        ),
        pytest.param(
            {"measure": "ratio", "estimate": 1.0, "low": 0.0, "high": None},
            (8.0, 100.0, 192.0, True, True),
            id="endless",
        ),
        pytest.param(
            {"measure": "ratio", "estimate": 4.0, "low": 1.0, "high": 256.0},
            (100.0, 146.0, 192.0, False, True),
            id="beyond 16x",
        ),
        pytest.param(
            {"measure": "difference", "estimate": 0.01, "low": 0.0, "high": 0.02},
            (100.0, 146.0, 192.0, False, False),
            id="difference",
        ),
    ],
)
def test_the_drawing_of_bounds(effect, expected):
    """Equal stands in the middle, bounds and estimate at their place, and what is unbounded has an arrow."""
    drawn = bar.draw({"effect": effect})
    assert drawn is not None
    assert (drawn.low, drawn.dot, drawn.high, drawn.open_low, drawn.open_high) == expected
    assert drawn.equal == 100.0


@pytest.mark.parametrize("estimate", [None, math.nan, "1.3", True], ids=str)
def test_no_estimate_no_drawing(estimate):
    """Nothing is drawn where nothing was estimated."""
    assert bar.draw({"effect": {"measure": "ratio", "estimate": estimate, "low": 1.0, "high": 2.0}}) is None


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme):
    """Every text colour has a contrast of at least 4.5 to the paper it stands on (WCAG 2.2, 1.4.3)."""
    block = page.STYLE.split(":root {")[scheme + 1].split("}")[0]
    colours = dict(
        pair.strip().removeprefix("--").split(": ") for pair in block.split(";") if pair.strip().startswith("--")
    )
    pairs = [(ink, paper) for ink in ("ink", "soft", "link") for paper in ("paper", "sheet")]
    pairs += [(tone, f"{tone}-paper") for tone in ("good", "bad", "wait", "calm")]
    pairs += [(ink, f"{tone}-paper") for tone in ("good", "bad", "wait", "calm") for ink in ("ink", "soft")]
    for ink, paper in pairs:
        bright, dim = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)
