"""Texts as Markdown shows them: as they are."""

from __future__ import annotations

import pytest

from flows.markdown import escape, link


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>&", "&lt;script&gt;&amp;"),
        ("[x](javascript:y) ![z](https://evil.example)", r"\[x\]\(javascript:y\) \!\[z\]\(https://evil.example\)"),
        ("# not a heading", r"\# not a heading"),
        ("- no point", r"\- no point"),
        ("_slanted_ **bold** `code`", r"\_slanted\_ \*\*bold\*\* \`code\`"),
        ("Nuclei_AreaShape_Area", "Nuclei_AreaShape_Area"),
        ("one\n\n# line", "one  # line"),
        ("µM, 0.5 - 2", "µM, 0.5 - 2"),
    ],
)
def test_nothing_of_a_text_is_obeyed(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_link_ends_where_its_address_does() -> None:
    assert link("file:///lab/a (1)/x.html") == r"[file:///lab/a \(1\)/x.html](file:///lab/a%20%281%29/x.html)"
    assert link("http://x/page", "the <page>") == "[the &lt;page&gt;](http://x/page)"
    assert link("file:///a%20b") == "[file:///a%20b](file:///a%20b)"
