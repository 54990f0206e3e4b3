import logging

import pytest

from balancer.ablation import progress
from balancer.ablation.progress import Progress, duration


def test_what_is_left_goes_by_the_pace_so_far(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO), Progress([], seconds=400, jobs=2) as shown:
        shown.show("nothing yet")
        shown.worked(100)
        now = 200.0  # estimated: 100 / 2
        shown.show("a quarter")
    assert "about 3 min left" in caplog.messages[0]
    assert "about 10 min left" in caplog.messages[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")],
)
def test_durations_are_for_readers(seconds: float, text: str) -> None:
    assert duration(seconds) == text
