from sidecar.access.escapes import from_haproxy, unescaped


def test_nginxs_and_apaches_escapes():
    assert unescaped(r"a\x22b\"c\\d\n") == 'a"b"c\\d\n'
    assert unescaped("plain") == "plain"


def test_haproxys_escapes():
    assert from_haproxy("/a#22#23/../wp-login.php") == '/a"#/../wp-login.php'
    assert from_haproxy("/plain#x") == "/plain#x"
