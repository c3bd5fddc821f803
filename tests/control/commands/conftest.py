import pytest

from tests.control.daemon import running_loop


@pytest.fixture
def loop():
    with running_loop() as access:
        yield access
