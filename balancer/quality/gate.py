"""The verdict on the synthetic images of a class: every check, its limit and what was found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from balancer.quality.config import GateConfig


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a set of images.

    Attributes:
        name: What it is about.
        passed: The answer; None where there were too few images to ask.
        sentence: What was found, and the limit.
    """

    name: str
    passed: bool | None
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """For `result.json`."""
        return asdict(self)


def checks(label: str, measured: Mapping[str, Any], gate: GateConfig) -> list[Check]:
    """Hold the measured figures of one class against the limits.

    Args:
        label: The class.
        measured: What `balancer.quality.assess` returns.
        gate: The limits.
    """
    return [
        _near_copies(measured["memorization"], gate),
        *_diversity(measured["diversity"], gate),
        *_identity(label, measured["identity"], gate),
        *_coverage(measured["against"], gate),
        _shortcut(measured["tells"]["trivial_statistics"], gate),
    ]


def verdict(found: Sequence[Check]) -> bool | None:
    """Whether a set passes; None where none of the checks failed but one could not be asked."""
    answers = [check.passed for check in found]
    if False in answers:
        return False
    return None if None in answers else True


def failures(entry: Mapping[str, Any]) -> list[str]:
    """Names of the failed checks in the `gate` entry of a class."""
    return [check["name"] for check in entry["checks"] if check["passed"] is False]


def _near_copies(measured: Mapping[str, Any], gate: GateConfig) -> Check:
    share = measured["near_copies"]
    limit = share["held_out"] + gate.max_near_copies
    return Check(
        "memorization",
        share["generated_at_least"] <= limit,
        f"{share['generated']:.1%} of the {measured['n']} images made are near copies of training "
        f"images, at least {share['generated_at_least']:.1%} with 95 % confidence (limit "
        f"{limit:.1%}; {share['held_out']:.1%} of held-out real ones are)",
    )


def _diversity(measured: Mapping[str, Any], gate: GateConfig) -> Iterator[Check]:
    for key, name, excess, what in (
        ("twins", "twins", gate.max_twins, "share with a near copy in their own set"),
        ("ms_ssim", "diversity", gate.max_similarity, "mean MS-SSIM of pairs"),
    ):
        found = measured[key]
        if found is None:
            yield Check(name, None, f"{what}: too few images")
            continue
        limit = found["real"] + excess
        yield Check(
            name,
            found["generated"] <= limit,
            f"{what} {found['generated']:.3f} (limit {limit:.3f}; real {found['real']:.3f})",
        )


def _identity(label: str, measured: Mapping[str, Any], gate: GateConfig) -> Iterator[Check]:
    for space, table in measured["distances"].items():
        yield _nearest_class(label, f"nearest class [{space}]", space, table)
    judged = measured["judged"]
    generated, held_out = (judged[kind]["labels"] for kind in ("generated", "held_out"))
    limit = gate.min_own_class * held_out[label]
    taken_for, real_taken_for = (max(s, key=lambda n: s[n]) for s in (generated, held_out))
    # A judge that takes the real images for another class cannot ask more of synthetic ones.
    is_own = taken_for == label or real_taken_for != label
    yield Check(
        "judged class",
        generated[label] >= limit and is_own,
        f"a judge of real images takes {generated[label]:.1%} for {label}, most for {taken_for} "
        f"(limit {limit:.1%}; {held_out[label]:.1%} of held-out real ones)",
    )


def _nearest_class(label: str, name: str, space: str, table: Mapping[str, Any] | None) -> Check:
    """Fails where another class is nearer beyond the interval of the difference."""
    if table is None:
        return Check(name, None, "too few images")
    others = {other: row for other, row in table.items() if other != label}
    nearer = [other for other, row in others.items() if row["interval"][0] > 0]
    own = table[label]
    listed = "".join(f", {row['generated']:.3f} to {other}" for other, row in others.items())
    return Check(
        name,
        not nearer,
        f"KID[{space}] of the images made is {own['generated']:.3f} to {label}{listed} "
        f"(held-out {label}: {own['held_out']:.3f})",
    )


def _coverage(against: Mapping[str, Any], gate: GateConfig) -> Iterator[Check]:
    entries = {
        name: entry
        for name, entry in against.get("training", {}).items()
        if name.startswith("coverage")
    }
    if not entries:
        yield Check("coverage", None, "too few images")
    for name, entry in entries.items():
        same_n = entry["same_n"]
        if same_n is None:
            yield Check(name, None, "too few images")
            continue
        limit = gate.min_coverage * same_n["real_against_real"]
        yield Check(
            name,
            same_n["value"] >= limit,
            f"{same_n['value']:.3f} at n = {same_n['n']} (limit {limit:.3f}; real "
            f"{same_n['real_against_real']:.3f})",
        )


def _shortcut(measured: Mapping[str, Any] | None, gate: GateConfig) -> Check:
    if measured is None:
        return Check("shortcut", None, "too few images for a probe")
    return Check(
        "shortcut",
        measured["value"] <= gate.max_trivial_auroc,
        f"grey levels, borders and sharpness alone tell synthetic from real with AUROC "
        f"{measured['value']:.3f} (limit {gate.max_trivial_auroc:.3f}; 0.5 cannot)",
    )
