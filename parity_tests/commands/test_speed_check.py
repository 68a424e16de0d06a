"""`make bench-check`: what it runs, and when it fails."""

import pytest

from parity_tests import speed_check
from segformer_core.commands.contestants import CONTESTANTS, OTHERS, takes_part


@pytest.mark.parametrize(("factor", "code"), [(1.01, 0), (0.99, 1)])
def test_a_ratio_below_the_stated_one_fails(factor, code, monkeypatch, capsys):
    """The ratio is other / ours: a contest whose other is fast is lost."""
    last = speed_check.CONTESTS[-1]

    def race(task, contestants, setting, rounds):
        [contest] = [one for one in speed_check.CONTESTS if (one.ours, one.other) == contestants and one.task == task]
        seconds = {contest.ours: 0.5, contest.other: 0.5 * contest.least * (factor if contest is last else 1.5)}
        return [{"contestant": name, "median": seconds[name]} for name in contestants]

    monkeypatch.setattr(speed_check, "race", race)
    assert speed_check.main() == code
    load, *lines = capsys.readouterr().out.splitlines()
    assert load.startswith("load of the machine before: ")
    assert [line.endswith("TOO SLOW") for line in lines] == [False, False, bool(code)]
    assert lines[-1].startswith(f"{last.task}: {last.other} / {last.ours}: {last.least * factor:.2f}, at least {last.least}")


def test_the_contests_can_be_run():
    assert len(speed_check.CONTESTS) == 3
    for contest in speed_check.CONTESTS:
        assert {contest.ours, contest.other} < {*CONTESTANTS, *OTHERS} and contest.least > 1
        assert takes_part(contest.ours, contest.task) and takes_part(contest.other, contest.task)
