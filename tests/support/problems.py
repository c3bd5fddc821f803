"""A listener that keeps every change of a problem, in order."""


class ProblemChanges(list):
    """`(name, sentence)` for each problem that begins, `(name, None)` for each that is over."""

    def problem_changed(self, name, sentence):
        self.append((name, sentence))
