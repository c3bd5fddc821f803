from sidecar.cli.progress import Progress


def test_a_bar_leaves_standard_output_to_the_lines(capsys):
    for size in (1_000, None):
        progress = Progress(size)
        progress.advance(300)
        progress.write_line("a line with [brackets] and 203.0.113.7")
        progress.close()

    assert capsys.readouterr().out == "a line with [brackets] and 203.0.113.7\n" * 2
