from sidecar.advice.namespace import not_host_network


def test_the_sentence_says_how_it_is_seen_and_what_to_change():
    sentence = not_host_network()

    assert "gateway of a container network" in sentence
    assert sentence.endswith("Set `network_mode: host` for wp-sidecar")
