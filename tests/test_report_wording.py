"""Numbers and names in words, and Markdown that shows text as it is."""

import pytest
from markdown_it import MarkdownIt

from balancer.drawing.numbers import three_digits
from balancer.drawing.wording import (
    cell,
    listing,
    printable,
    probability,
    reasons,
    scalar,
    without_machine_paths,
)
from balancer.evaluation.records import Scalar
from balancer.report.blocks import Answer, Bullets, Code, Paragraph, Report, Section, Table
from balancer.report.render.markdown import escape, render_markdown

NAMES = (
    "<b>x</b>", "a|b", "`code`", "$x$", "*em*", "_em_", "~~del~~", "[a](b)", "![a](b)", "&amp;",
    "\\", "# h", "- x", "1. x", "> q", "http://evil.org/x", "www.evil.org", "a@b.org", "a\nb",
    "</details>", "---", "===", "| --- |", "+ x",
)  # fmt: skip


def test_only_one_itself_is_shown_as_one() -> None:
    assert [three_digits(value) for value in (1.0, 0.99999, 0.9995, 0.99949, 12.9999)] == [
        *("1.000", "0.999", "0.999", "0.999", "13.000"),
    ]
    assert three_digits(0.9999, sign=True) == "+1.000"


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_names_and_nothing_else(name: str) -> None:
    answer = Answer(name, None, name, [], [name])
    blocks = [Paragraph(name), Bullets([name]), Table(name, [name, "n"], [[name, name]], note=name)]
    text = render_markdown(Report(answer, [Section("s", name, blocks)]))
    parser = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    html = parser.render(text)
    shown = " ".join(name.split())
    assert f"<td>{_escaped(shown)}</td>" in html
    assert f"<li>{_escaped(shown)}</li>" in html
    assert f"<p>{_escaped(shown)}</p>" in html
    for tag in ("<b>", "<a ", "<img", "<em>x", "<code>", "<del>", "<s>", "<ol>", "<hr"):
        assert tag not in html


def _escaped(text: str) -> str:
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text


def test_links_are_not_made_by_themselves() -> None:
    assert "http://" not in escape("see http://evil.org")
    assert "www." not in escape("see www.evil.org")


def test_code_cannot_leave_its_fence() -> None:
    answer = Answer("q", None, "s", [Code("a\n```\n<b>x</b>")], [])
    html = MarkdownIt().render(render_markdown(Report(answer, [])))
    assert "```\n&lt;b&gt;x&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Scalar(value=0.5, low=0.4, high=0.6), "0.500 (0.400 to 0.600)"),
        (Scalar(value=0.5, low=None, high=None), "0.500"),
        (Scalar(value=None, low=None, high=None, reason="r"), "undefined"),
        (None, "not measured"),
    ],
)
def test_scalars(value: Scalar | None, text: str) -> None:
    assert scalar(value) == text


def test_a_difference_has_a_sign_and_zero_is_not_negative() -> None:
    assert scalar(Scalar(value=0.01, low=-0.0001, high=0.02), sign=True) == (
        "+0.010 (+0.000 to +0.020)"
    )


def test_probabilities() -> None:
    assert [probability(p) for p in (None, 0.0, 0.00099, 0.001, 1.0)] == [
        "undefined", "< 0.001", "< 0.001", "0.001", "1.000",
    ]  # fmt: skip


def test_reasons_are_told_once() -> None:
    none = Scalar(value=None, low=None, high=None, reason="no image")
    one = Scalar(value=1.0, low=None, high=None)
    assert reasons([("a", none), ("b", none), ("c", one)]) == ("Undefined for a and b: no image.")


def test_lists_are_cut() -> None:
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list("abcdefgh"), 3) == "a, b, c and 5 more"


def test_cells() -> None:
    values = (None, True, 0.5, 3, [], {}, {"a": 1}, ["x", 0.25])
    assert [cell(value) for value in values] == [
        "not known", "yes", "0.500", "3", "none", "none", "a: 1", "x, 0.250",
    ]  # fmt: skip


def test_unprintable_characters_are_written_out() -> None:
    assert printable("a\nb\x00\u202e") == "a\\nb\\x00\\u202e"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/me/films", ".../films"),
        ("run --data /home/me/films/ -w x", "run --data .../films -w x"),
        ("C:\\Users\\me\\films", ".../films"),
        ("--data=/home/me/films", "--data=.../films"),
        ("a/b and 1/2 and or/else", "a/b and 1/2 and or/else"),
        ("0.1 / 0.2", "0.1 / 0.2"),
        ("COVID/000001.png", "COVID/000001.png"),
    ],
)
def test_machine_paths(text: str, kept: str) -> None:
    assert without_machine_paths({"x": [text]}) == {"x": [kept]}
