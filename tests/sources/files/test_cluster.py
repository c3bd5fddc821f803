"""What is known about a cluster is shared between the thread that asks and the thread that reads logs."""

import threading

from sidecar.sources.files.cluster import Cluster, ClusterView, Pod

CLUSTER = Cluster({"1": Pod({"app": "blog"})}, ("192.0.2.1/32",))


def test_an_update_is_read_and_says_whether_anything_changed():
    view = ClusterView()

    assert (view.read(), view.latest) == (Cluster(), Cluster())
    assert [view.update(CLUSTER), view.update(CLUSTER)] == [True, False]
    assert (view.read(), view.latest) == (CLUSTER, CLUSTER)


def test_a_reader_waits_for_the_first_update():
    view = ClusterView(first_answer_s=10.0)
    threading.Timer(0.05, view.update, [CLUSTER]).start()

    assert view.read() == CLUSTER


def test_a_reader_does_not_wait_for_ever():
    view = ClusterView(first_answer_s=0.05)

    assert [view.read(), view.read()] == [Cluster(), Cluster()]
