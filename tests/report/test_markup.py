from __future__ import annotations

from vidperc.report.markup import Html, element, joined, number


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    inside = element("b", None, "1 < 2 & 3")
    made = element("p", {"title": 'a "b" <c>', "id": None, "width": 12}, inside, "<script>")
    assert made == ('<p title="a &quot;b&quot; &lt;c&gt;" width="12"><b>1 &lt; 2 &amp; 3</b>&lt;script&gt;</p>')
    assert isinstance(made, Html)


def test_empty_elements_have_no_end() -> None:
    assert element("img", {"src": "x"}) == '<img src="x">'
    assert joined("a", Html("<br>"), "<") == "a<br>&lt;"


def test_lengths_have_at_most_a_tenth() -> None:
    assert [number(value) for value in (3.0, 2.25, 12.06, -0.04)] == ["3", "2.2", "12.1", "-0"]
