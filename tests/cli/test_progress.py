import io

from sidecar.cli.progress import Progress


def test_what_is_read_is_what_the_stream_has_and_the_bar_goes_at_the_end(capsys):
    data = bytes(range(256)) * 100
    stream = Progress(io.BytesIO(data), len(data))

    found = b"".join(iter(lambda: stream.read1(1_000), b""))

    assert found == data
    out, _ = capsys.readouterr()
    assert out == ""
