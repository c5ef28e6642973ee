"""Two processes on one run and one cache: one works and the other is refused, or both share.

What `tests/benchmarks` and `tests/trainers` show of made-up worlds (`test_benchmarks_kill`,
`test_benchmarks_judge_processes`, `test_trainers_prepare_processes`), of the real commands.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from drive import PATIENCE, Command, check_clean, ended, kill, wait_until_working
from small import EVAL, SCORE, TRAIN, undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("command", [EVAL, TRAIN], ids=["eval", "train-reference"])
def test_the_second_one_is_refused(command: Command, tmp_path: Path) -> None:
    whole = undisturbed(command, tmp_path)
    place = tmp_path / "place"
    command.prepare(place)
    first = command.start(place)
    try:
        assert wait_until_working(command, place, first)
        first.send_signal(signal.SIGSTOP)  # else it may end before the second one comes
        second = command.run(place)
        first.send_signal(signal.SIGCONT)
        assert second.code == 1, second.err
        assert "another process works on this run" in second.err
        assert "Traceback" not in second.err
        assert "wait until it is done and run the same command again" in second.err
        assert first.wait(PATIENCE) == 0, (place / "said" / "000.err").read_text()
    finally:
        kill(first)
    assert command.outcome(place) == whole
    check_clean(place)


@pytest.mark.slow
def test_two_that_score_share_a_cache(tmp_path: Path) -> None:
    """Nobody is refused: what one kept the other finds, and both tables are whole."""
    whole = undisturbed(SCORE, tmp_path)
    place = tmp_path / "place"
    SCORE.prepare(place)
    first = SCORE.start(place)
    try:
        second = ended(place, SCORE.start(place))
        assert second.code == 0 and "is not used" not in second.err, second.err
        assert SCORE.outcome(place) == whole  # of the second, whose words came last
        assert first.wait(PATIENCE) == 0
    finally:
        kill(first)
    out = (place / "said" / "000.out").read_text()
    assert out == second.out and "is not used" not in (place / "said" / "000.err").read_text()
    check_clean(place)
