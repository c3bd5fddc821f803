import pytest

from sidecar.config.redis_url import RedisUrl, parse_redis_url

VALID = {
    "redis://cache": RedisUrl("one", (("cache", 6379),)),
    "redis://cache:6380/3": RedisUrl("one", (("cache", 6380),), database=3),
    "redis://:s%23cret@cache": RedisUrl("one", (("cache", 6379),), password="s#cret"),
    "rediss://wp:p@ss@[2001:db8::7]:6390": RedisUrl(
        "one", (("2001:db8::7", 6390),), user="wp", password="p@ss", tls=True
    ),
    "rediss://cache?ca=/ca.pem": RedisUrl("one", (("cache", 6379),), tls=True, ca="/ca.pem"),
    "unix:///run/redis.sock?db=2": RedisUrl("one", path="/run/redis.sock", database=2),
    "unix://wp:secret@/run/redis.sock": RedisUrl("one", path="/run/redis.sock", user="wp", password="secret"),
    "redis+sentinel://a,b:26380/mymaster/1": RedisUrl(
        "sentinel", (("a", 26379), ("b", 26380)), master="mymaster", database=1
    ),
    "rediss+sentinel://wp:x@a/m?sentinel_user=s&sentinel_password=t": RedisUrl(
        "sentinel", (("a", 26379),), user="wp", password="x", master="m", tls=True, sentinel_user="s",
        sentinel_password="t",
    ),
    "redis+cluster://a:7000,b:7001": RedisUrl("cluster", (("a", 7000), ("b", 7001))),
}  # fmt: skip
WRONG = {
    "http://cache": "expected redis://host:6379",
    "redis://:s#cret@cache": "in a password `#` is written %23",
    "redis://": "expected host:port",
    "redis://cache:0": "expected host:port",
    "redis://cache:99999": "expected host:port",
    "redis://a,b": "names several hosts",
    "redis://cache/one": "names a database that is not a number",
    "redis://cache/1/2": "has too much after the hosts",
    "redis://cache?timeout=5": "has an unknown option after the `?`",
    "redis+sentinel://a,b": "has no master",
    "redis+cluster://a/1": "names a database, and a cluster has only one",
    "unix://run/redis.sock": "three slashes",
    "redis://[::1": "expected host:port",
}


@pytest.mark.parametrize("url", VALID)
def test_a_url_is_taken_apart(url):
    assert parse_redis_url(url) == VALID[url]


@pytest.mark.parametrize("url", WRONG)
def test_an_error_does_not_repeat_the_url(url):
    with pytest.raises(ValueError) as caught:
        parse_redis_url(url)

    assert WRONG[url] in str(caught.value)
    assert "s#cret" not in str(caught.value) and "cret@" not in str(caught.value)


def test_certificates_may_be_given_beside_the_url():
    assert parse_redis_url("rediss://cache", "/ca.pem").ca == "/ca.pem"


def test_a_url_is_shown_without_passwords():
    assert str(parse_redis_url("redis+sentinel://wp:secret@a,[::1]/m")) == "a:26379,[::1]:26379 (master m)"
    assert str(parse_redis_url("unix://:secret@/run/redis.sock")) == "/run/redis.sock"
    assert "secret" not in repr(parse_redis_url("redis://:secret@a"))
