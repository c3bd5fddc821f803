from sidecar.control import exit_codes
from sidecar.control.exit_codes import Failed


def test_each_way_to_end_has_a_code_of_its_own():
    codes = [value for name, value in vars(exit_codes).items() if name.isupper()]

    assert sorted(codes) == [0, 1, 2, 66, 69, 77, 78, 141]


def test_a_failure_is_a_code_and_a_sentence():
    failed = Failed(exit_codes.NO_INPUT, "no log")

    assert (failed.code, str(failed)) == (66, "no log")
