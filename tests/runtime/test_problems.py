import logging

from sidecar.runtime.problems import Problems


class Changes(list):
    """A listener that keeps each change."""

    def problem_changed(self, name, sentence):
        self.append((name, sentence))


def test_a_change_is_reported_once():
    changes = Changes()
    firewall = Problems(changes).problem("firewall")
    firewall.clear()
    firewall.set("nft is gone")
    firewall.set("nft is still gone")
    firewall.clear()
    firewall.clear()

    assert changes == [("firewall", "nft is gone"), ("firewall", None)]


def test_what_is_not_critical_is_reported_like_the_rest_and_leaves_the_daemon_ready():
    changes = Changes()
    problems = Problems(changes)
    blog = problems.problem("container blog", critical=False)
    firewall = problems.problem("firewall")
    blog.set("its log cannot be read")
    assert (problems.sentences, problems.critical) == (("its log cannot be read",), False)

    firewall.set("nft is gone")
    assert problems.critical
    firewall.clear()
    assert not problems.critical

    assert [name for name, _ in changes] == ["container blog", "firewall", "firewall"]


def test_the_newest_sentence_of_each_problem_is_shown():
    problems = Problems()
    problems.problem("firewall").set("nft is gone")
    problems.problem("docker").set("no daemon")
    problems.problem("firewall").set("nft is still gone")

    assert problems.sentences == ("nft is still gone", "no daemon")
    assert problems.about("docker") == "no daemon"


def test_a_group_is_replaced_as_a_whole():
    changes = Changes()
    problems = Problems(changes)
    problems.problem("docker").set("no daemon")
    problems.replace("labels of ", {"labels of a": "one", "labels of b": "two"})
    problems.replace("labels of ", {"labels of b": "two, still", "labels of c": "three"})

    assert problems.sentences == ("no daemon", "two, still", "three")
    assert changes[1:] == [
        ("labels of a", "one"),
        ("labels of b", "two"),
        ("labels of a", None),
        ("labels of c", "three"),
    ]


def test_the_log_has_each_change_once(caplog):
    caplog.set_level(logging.INFO)
    problems = Problems()
    for sentence in ("nft is gone", "nft is still gone", None):
        problems.report("firewall", sentence)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "nft is gone"),
        ("INFO", "resolved: firewall"),
    ]
