import logging

import pytest

from balancer.ablation import progress
from balancer.ablation.progress import Progress, duration


def test_what_is_left_goes_by_the_pace_so_far(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO), Progress([], ends=[100.0, 100.0, 200.0]) as shown:
        shown.show("nothing yet")
        now = 300.0
        shown.task_ended()  # three times as long as expected
        shown.show("one of the first two")
        shown.task_ended()
        shown.task_ended()
        shown.show("all")
    lefts = [message.partition("about ")[2].partition(" left")[0] for message in caplog.messages]
    assert lefts == [duration(200), duration(300), duration(0)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")],
)
def test_durations_are_for_readers(seconds: float, text: str) -> None:
    assert duration(seconds) == text
