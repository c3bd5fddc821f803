from sidecar.web.html import section, table, text


def test_what_comes_from_outside_is_text():
    assert text('<b a="1">\x1b&') == "&lt;b a=&quot;1&quot;&gt;\\x1b&amp;"
    assert "<b>" not in "".join(table("<b>", ("<b>", "<b>"), [("<b>", "<b>")]))
    assert "<b>" not in "".join(section("x", "<b>"))
