"""Logs that are not understood and filters that match nothing, as `status` and alerts have them."""

from dataclasses import replace

from sidecar.access.logs import AccessLogs
from sidecar.access.sample import MIN_LINES
from sidecar.app.unread_logs import BUSY_LINES, MIN_MISSES, UnreadLogs
from sidecar.config.settings import Settings
from sidecar.core.containers import Container
from sidecar.core.events import Origin, Topology
from sidecar.core.jail import Jail
from sidecar.filters.loader import load
from sidecar.runtime.problems import Problems

REQUEST = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "GET / HTTP/1.1" 200 51 "-" "curl"'
NOISE = "GET / 200 0.001"
ACCESS = Jail("access", filter="wordpress-access", logpath=("/x",), reads_requests=True)
NGINX = Container("n", "nginx", "nginx", published=frozenset({80}))
DB = Container("d", "db", "mariadb", published=frozenset({3306}))
BLOG = Container("b", "blog", "wordpress:fpm", front_ends=(DB, NGINX))


class World:
    """The chore, with the logs and figures that a test sets."""

    def __init__(self, *containers, front_ends=(), jails=(ACCESS,), filters=None):
        self.logs, self.problems = AccessLogs(), Problems()
        self.topology = Topology(containers=containers, front_ends=frozenset(front_ends))
        self.settings = Settings(tuple(jails), filters or {})
        self.states, self.lines, self.misses = {}, {}, {}
        self.chore = UnreadLogs(self, self.logs, self, self, self.problems)

    def log(self, name, line, count=MIN_LINES, *, source="docker", stream="stdout"):
        self.states[name] = "open"
        self.logs.of(Origin(source, name, stream)).sample.add([line] * count, 0.0)

    def run(self):
        self.chore.run(None, 0.0)
        return [sentence.partition(" is not understood")[0] for sentence in self.problems.sentences]


def test_a_wordpress_in_a_format_that_is_not_known_is_reported_until_it_is():
    world = World(BLOG)
    world.log("blog", NOISE, MIN_LINES - 1)
    assert world.run() == []
    world.log("blog", NOISE, 1)
    assert world.run() == ["the log of blog"]
    assert world.chore.notes == {"blog": "not understood"}
    assert not world.problems.critical
    assert f'"{NOISE}"; "{NOISE}"; "{NOISE}"' in world.problems.sentences[0]
    assert "the label `wp-sidecar.log-format` of blog" in world.problems.sentences[0]
    world.log("blog", REQUEST, 1)

    assert world.run() == []
    assert world.chore.notes == {}


def test_a_stream_beside_the_access_log_needs_no_requests():
    world = World(BLOG)
    world.log("blog", REQUEST)
    world.log("blog", "PHP Warning: x", stream="stderr")

    assert world.run() == []
    assert world.chore.notes == {}


def test_php_fpm_is_understood_by_the_log_of_nginx():
    world = World(BLOG, NGINX, DB, front_ends=("nginx", "db"))
    world.log("blog", NOISE)
    world.log("nginx", REQUEST, 1)

    assert world.run() == []


def test_nginx_in_front_of_it_is_to_blame_where_neither_is_understood():
    world = World(BLOG, NGINX, front_ends=("nginx",))
    world.log("blog", NOISE)
    world.log("nginx", NOISE)

    assert world.run() == ["the log of nginx, in front of blog,"]
    assert "the label `wp-sidecar.log-format` of nginx" in world.problems.sentences[0]


def test_a_database_that_was_found_is_a_note_and_no_problem():
    world = World(BLOG, NGINX, DB, front_ends=("nginx", "db"))
    world.log("db", "2026-11-30 12:00:00 0 [Note] mariadbd: ready for connections.")
    assert world.run() == []
    assert world.chore.notes == {"db": "no requests"}
    world.log("blog", REQUEST)
    world.log("nginx", NOISE)

    assert world.run() == []
    assert world.chore.notes == {"db": "no requests", "nginx": "no requests"}


def test_a_container_that_a_person_chose_is_to_be_understood():
    world = World(replace(DB, labels={"wp-sidecar.enable": "true"}))
    world.log("db", NOISE)

    assert world.run() == ["the log of db"]


def test_a_wordpress_that_serves_nobody_has_no_requests():
    world = World(replace(BLOG, image="wordpress:cli-php8.3", front_ends=()))
    world.log("blog", "Executed the cron event 'wp_version_check' in 0.31s.")

    assert world.run() == []
    assert world.chore.notes == {"blog": "no requests"}


def test_php_fpm_is_understood_by_the_file_of_a_web_server_on_the_host():
    world = World(replace(BLOG, front_ends=(DB,), published=frozenset({9000})))
    world.log("blog", NOISE)
    world.log("/var/log/nginx/access.log", REQUEST, 1, source="file")
    assert world.run() == []

    # This one has a web server of its own.
    world.topology = Topology(containers=(BLOG,))
    assert world.run() == ["the log of blog"]


def test_a_log_that_is_gone_is_no_problem_any_more():
    world = World(BLOG)
    world.log("blog", NOISE)
    world.run()
    del world.states["blog"]

    assert world.run() == []


def test_in_a_pod_one_container_has_the_access_log():
    names = ["shop/web-0/wordpress-fpm", "shop/web-0/nginx", "shop/db-0/mariadb"]
    php, nginx, db = (Container(name, name, "") for name in names)
    world = World(php, nginx, db)
    for name in names:
        world.log(name, NOISE, source="cri")
    assert world.run() == ["the log of shop/web-0/nginx, in front of shop/web-0/wordpress-fpm,"]
    world.log("shop/web-0/nginx", REQUEST, 1, source="cri")

    assert world.run() == []


def test_a_file_is_reported_with_the_key_of_its_jail():
    world = World()
    world.log("/var/log/nginx/access.log", NOISE, source="file")
    world.log("/dev/log", NOISE, source="syslog")

    assert world.run() == ["the log of /var/log/nginx/access.log"]
    assert "Set `logformat` in [access] to " in world.problems.sentences[0]


def filter_file(tmp_path, *failregexes):
    path = tmp_path / "mine.conf"
    lines = "\n            ".join(failregexes)
    path.write_text(f"[Definition]\nfailregex = {lines}\n")
    return load(str(path))


MINE = Jail("mine")


def test_a_filter_that_is_tried_and_never_matches_is_reported(tmp_path):
    world = World(jails=[MINE], filters={"mine": filter_file(tmp_path, "^x <HOST>$")})
    world.misses = {"mine": MIN_MISSES - 1}
    assert world.run() == []
    world.misses = {"mine": MIN_MISSES}
    [sentence] = world.run()
    assert sentence.startswith(
        "the filter mine of [mine] has matched none of 100 lines that have its words: "
    )
    world.misses = {}

    assert world.run() == []


def test_a_filter_that_is_idle_in_a_busy_log_is_a_remark_and_no_problem(tmp_path):
    mine = {"mine": filter_file(tmp_path, "^x <HOST>$"), "wordpress": load("wordpress")}
    world = World(jails=[MINE, Jail("wordpress"), Jail("gone")], filters=mine)
    world.misses = {"mine": 0, "wordpress": 0}
    world.run()
    world.lines = {"mine": BUSY_LINES - 1, "wordpress": BUSY_LINES}
    world.run()
    assert world.chore.remarks == ()
    world.lines = {"mine": BUSY_LINES, "wordpress": BUSY_LINES}
    assert world.run() == []
    [remark] = world.chore.remarks
    assert remark.startswith("the filter mine of [mine] has matched none of 10,000 lines.")

    # After a reload it is another filter, perhaps.
    world.settings = replace(world.settings)
    world.run()
    assert world.chore.remarks == ()


def test_a_filter_for_dockers_own_files_is_reported_where_it_looks_at_containers(tmp_path):
    filters = {"mine": filter_file(tmp_path, '^{"log":"<HOST> ')}
    assert len(World(jails=[MINE], filters=filters).run()) == 1
    assert World(jails=[replace(MINE, logpath=("/x",))], filters=filters).run() == []
    [sentence] = World(jails=[replace(MINE, logpath=("/x",), containers=("blog",))], filters=filters).run()
    assert sentence.startswith(
        "the filter mine of [mine] expects lines as Docker's json-file driver stores them"
    )


def test_nothing_is_wrong_at_the_beginning():
    world = World()
    assert world.run() == []
    assert (world.chore.notes, world.chore.remarks) == ({}, ())
