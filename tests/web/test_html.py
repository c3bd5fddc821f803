from sidecar.web.html import button, choice, field, section, table, text, with_code


def test_code_in_a_sentence_is_text_too():
    assert with_code("set `x` and `<b>`, ``") == "set <code>x</code> and <code>&lt;b&gt;</code>, ``"


def test_fields_and_buttons_have_what_screen_readers_say():
    assert '<label for="a">&lt;b&gt;</label> <input id="a" name="a" value="&quot;">' in field(
        "a", "<b>", value='"'
    )
    assert '<option value="&lt;">&amp;</option>' in choice("a", "b", [("<", "&")])
    assert button("x", "a", '"', "<b>") == '<button name="a" value="&quot;" aria-label="&lt;b&gt;">x</button>'


def test_what_comes_from_outside_is_text():
    assert text('<b a="1">\x1b&') == "&lt;b a=&quot;1&quot;&gt;\\x1b&amp;"
    assert "<b>" not in "".join(table("<b>", ("<b>", "<b>"), [("<b>", "<b>")]))
    assert "<b>" not in "".join(section("x", "<b>"))
