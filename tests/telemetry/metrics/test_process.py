RELOAD = ("config_last_reload_successful", "config_last_reload_success_timestamp_seconds")


def test_version_and_own_log(scrape):
    scrape.metrics.process.log_records_dropped(2)
    scrape.metrics.process.log_records_dropped(5)

    assert scrape("log_records_dropped_total", "build_info") == {
        "log_records_dropped_total": 5,
        'build_info{version="1.2.3"}': 1,
    }


def test_a_reload_that_fails_leaves_the_time_of_the_one_before(scrape):
    scrape.metrics.process.reloaded(7.0, succeeded=True)
    scrape.metrics.process.reloaded(8.0, succeeded=False)

    assert list(scrape.all(*RELOAD).values()) == [0, 7]


def test_the_clients_own_metrics_are_there(scrape):
    assert "process_resident_memory_bytes" in scrape.text


def test_readiness_is_asked_at_every_scrape(scrape):
    answers = [True, False]
    scrape.metrics.process.observe_readiness(lambda: answers.pop(0))

    assert [scrape.all("ready") for _ in range(2)] == [{"ready": 1}, {"ready": 0}]


def test_a_problem_has_a_series_for_as_long_as_it_lasts(scrape):
    process = scrape.metrics.process
    process.problem_changed("the store", "the disk is full")
    process.problem_changed("memory", None)

    assert scrape.all("problem") == {'problem{problem="the store"}': 1}
    process.problem_changed("the store", None)
    assert scrape.all("problem") == {}
