from sidecar.control.exit_codes import ExitCode, Failed


def test_each_way_to_end_has_a_code_and_a_meaning():
    assert sorted(ExitCode) == [0, 1, 2, 66, 69, 77, 78, 141]
    assert all(code.meaning for code in ExitCode)


def test_a_failure_is_a_code_and_a_sentence():
    failed = Failed(ExitCode.NO_INPUT, "no log")

    assert (failed.code, str(failed)) == (66, "no log")
