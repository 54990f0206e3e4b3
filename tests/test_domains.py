"""Kinds of images other than chest radiographs: words and checks, at the command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from balancer.data.audit.statistics_by_class import STATISTICS
from balancer.domains.domain import domain_names, domain_of, propose_domain
from samples.phantom import draw_phantom
from support.radiograph_folders import save
from support.reading_command import prepare, prepared, refused

_OF_CHESTS = re.compile(r"\b(films?|radiographs?|lungs?|chests?|frontal)\b", re.IGNORECASE)


@pytest.fixture
def chests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Drawn chests of which some are upside down and some negatives, in classes of skin."""
    monkeypatch.chdir(tmp_path)
    for number in range(24):
        pixels = draw_phantom(number, covid=False, size=64)
        pixels = pixels[::-1] if number % 8 == 0 else pixels
        pixels = 255 - pixels if number % 8 == 1 else pixels
        label = "melanoma" if number % 3 == 0 else "nevus"
        save(tmp_path / "pictures" / label / f"{number}.png", np.ascontiguousarray(pixels))
    return tmp_path / "pictures"


def audited() -> dict[str, object]:
    found: dict[str, object] = json.loads(Path("w/index/audit.json").read_text())
    return found


def test_a_domain_is_proposed_by_its_names_and_kept(chests: Path) -> None:
    done, _ = prepared(chests)
    assert "skin" in done.stderr
    settings = json.loads(Path("w/index/result.json").read_text())["settings"]
    assert settings["data"]["domain"] == audited()["domain"] == "skin"
    assert prepare(chests, "--set", "data.domain=skin").stderr.count("up to date") == 1
    assert prepare(chests, "--set", "data.domain=blood").exit_code == 2


def test_no_word_of_chests_stands_under_another_domain(chests: Path) -> None:
    done, _ = prepared(chests)
    page = Path("w/index/audit.html").read_text(encoding="utf-8")
    for text in (done.stderr, Path("w/index/audit.md").read_text(encoding="utf-8"), page):
        assert not _OF_CHESTS.findall(re.sub(r"same[-_]film", "", text))


def test_poses_are_checked_in_chests_alone(chests: Path) -> None:
    prepared(chests)
    assert not {"inverted", "upside-down", "lateral"} & {one["name"] for one in found()}
    prepared(chests, "--force", "--set", "data.domain=chest")
    assert {"inverted", "upside-down"} <= {one["name"] for one in found()}
    assert "domain" not in audited()


def found() -> list[dict[str, str]]:
    findings = audited()["findings"]
    assert isinstance(findings, list)
    return findings


def test_views_of_lungs_are_refused_where_there_are_none(chests: Path) -> None:
    assert "lungs" in refused(chests, 2, "--set", "preprocessing.lungs=lungs-only")
    assert "data.domain" in refused(chests, 2, "--set", "data.domain=teeth")


@pytest.mark.parametrize("name", domain_names())
def test_each_table_is_whole(name: str) -> None:
    domain = domain_of(name)
    assert {*domain.disease_changes} <= {statistic.name for statistic in STATISTICS}
    assert domain.pose <= domain.lungs
    assert not _OF_CHESTS.search(domain.say("{image} {images} {kind} {subject} {disease}")) or (
        domain.lungs
    )
    if domain.names:
        words = [domain.names[0]]
        assert propose_domain(words, in_colour=not domain.lungs) == domain


def test_without_a_known_name_colour_decides() -> None:
    assert propose_domain(["a", "b"], in_colour=False).lungs
    assert not propose_domain(["a", "b"], in_colour=True).lungs
    assert not propose_domain(["covid", "xray"], in_colour=True).lungs
