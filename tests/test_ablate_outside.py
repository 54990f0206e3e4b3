"""Arms of other generators: a folder per split, or a command that is run per split."""

import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from balancer.ablation.arms import read_arms
from balancer.ablation.families.outside import CommandArm, OutsideArm
from balancer.ablation.inquiry import inquiry_of
from balancer.ablation.outside_folds import bring_outside_images
from balancer.ablation.plan import make_plan
from balancer.ablation.protocol import amend
from balancer.ablation.workspaces import write_fold
from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.errors import BalancerError, ConfigurationError, DataError, IntegrityError
from balancer.evaluation.ledger import COPIES, read_ledger
from balancer.stages import prepare
from balancer.statistics.resampled_t import resampled_t
from balancer.statistics.verdict import Evidence, judge
from balancer.workspace import Workspace
from samples.phantom import write_samples
from support.tiny_pipeline import arguments, config_for, metrics_of, tree

pytestmark = pytest.mark.blank_pictures

HEAD = """
import shutil, sys, time
from pathlib import Path
import cv2, numpy as np
train, out, count, seed, *rest = sys.argv[1:]
films = [cv2.imread(str(path), 0) for path in sorted(Path(train).iterdir())]
rng = np.random.default_rng(int(seed))
def save(images):
    for number, image in enumerate(images):
        cv2.imwrite(f"{out}/{number}.png", image)
def drawn(n):
    mean, noise = np.mean(films, axis=0), rng.normal(0, 25, (n, *films[0].shape))
    return np.clip(mean + noise, 0, 255).astype(np.uint8)
"""
SCRIPTS = {
    "honest": "print(rest); save(drawn(int(count)))",
    "few": "save(drawn(2))",
    "none": "",
    "broken": "save(drawn(3)); print('half way'); raise SystemExit('no memory; sorry')",
    "tiny": "save([image[:9, :9] for image in drawn(int(count))])",
    "hangs": "time.sleep(600)",
    "text": "(Path(out) / 'image.png').write_text('no image')",
    "copier": "save([cv2.add(films[n % len(films)], n // len(films)) for n in range(int(count))])",
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_samples(folder, n_covid=24, n_normal=60, size=64)
    return folder


def line(tmp_path: Path, script: str, *more: str) -> str:
    """Return the line of an arm whose script lies in a folder with a blank and a quote."""
    place = tmp_path / "my 'own' scripts; rm"
    place.mkdir(exist_ok=True)
    (place / f"{script}.py").write_text(HEAD + SCRIPTS.get(script, script))
    words = [sys.executable, str(place / f"{script}.py"), "{train}", "{out}", "{count}", "{seed}"]
    run = shlex.join([*words, "a b; touch $(pwd)/c && 'd'", "{class}-{split}"])
    return shlex.join(["command", "name=pca", f"run={run}", *more])


class Study:
    """One fold of a study with one arm, ready to bring its images."""

    def __init__(self, root: Path, films: Path, arm: str) -> None:
        self.config: BalancerConfig = config_for(films, "ablation.repeats=1")
        ablation = self.config.ablation.model_copy(update={"arms": (arm,)})
        self.config = self.config.model_copy(update={"ablation": ablation})
        self.workspace = Workspace(root)
        with self.workspace.lock():
            prepare.run(self.config, self.workspace)
        index = load_index(self.workspace.index_dir)
        plan = make_plan(self.config, index)
        self.fold = plan.folds[0]
        self.index: Index = write_fold(self.workspace, index, self.fold, force=False)
        self.arm = next(arm for arm in plan.arms if isinstance(arm, OutsideArm))
        amend(self.workspace, None, inquiry_of(self.config, index, plan, {}))

    @property
    def images(self) -> Path:
        return self.arm.folder(self.workspace.fold(self.fold.name)).outside_images_dir

    def bring(self) -> float:
        return bring_outside_images(
            self.config, self.workspace, self.fold.name, self.fold.number, self.arm
        )


@pytest.fixture
def study(tmp_path: Path, films: Path) -> Callable[[str], Study]:
    return lambda arm: Study(tmp_path / "work", films, arm)


def test_a_command_is_given_its_words_and_no_shell(
    study: Callable[[str], Study], tmp_path: Path
) -> None:
    found = study(line(tmp_path, "honest"))
    before = {*Path.cwd().iterdir()}
    found.bring()
    assert {*Path.cwd().iterdir()} == before  # no shell made a file
    wanted = found.arm.images_wanted(found.index)["COVID"]
    assert len(list((found.images / "COVID" / "images").iterdir())) == wanted
    assert [one.what for one in read_ledger(found.workspace.ledger_dir)] == [f"{COPIES}pca"]
    images = tree(found.images)
    assert found.bring() > 0  # the time of the command, though it is not run again
    assert tree(found.images) == images


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("few", DataError, "2"),
        ("none", DataError, ""),
        ("broken", DataError, "no memory; sorry"),
        ("tiny", DataError, "data.min_side"),
        ("text", DataError, "image.png"),
        ("hangs", DataError, "hours"),
        ("absent", ConfigurationError, "no-such-program"),
    ],
)
def test_a_command_that_fails_says_so_in_a_sentence(
    script: str,
    kind: type[BalancerError],
    said: str,
    study: Callable[[str], Study],
    tmp_path: Path,
) -> None:
    words = line(tmp_path, script, *(["hours=0.0005"] if script == "hangs" else []))
    found = study("command name=x run='no-such-program {out}'" if script == "absent" else words)
    start = time.monotonic()
    with pytest.raises(kind) as error:
        found.bring()
    assert time.monotonic() - start < 60
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not found.images.exists()


def test_what_a_stopped_command_started_ends_with_it(
    study: Callable[[str], Study], tmp_path: Path
) -> None:
    child = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    SCRIPTS["parent"] = child
    found = study(line(tmp_path, "parent", "hours=0.001"))
    with pytest.raises(DataError):
        found.bring()
    number = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":  # ended, and not yet collected by init
            break
        time.sleep(0.1)
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_a_command_that_reads_the_workspace_is_found_out(
    study: Callable[[str], Study], tmp_path: Path, films: Path
) -> None:
    thief = (
        "import csv\n"
        f"index = Path({str(tmp_path / 'work')!r}) / 'runs/folds/split-0/index/index.csv'\n"
        "rows = [row for row in csv.DictReader(index.open()) if row['split'] == 'test']\n"
        f"stolen = cv2.imread(str(Path({str(films)!r}) / rows[0]['path']), 0)\n"
        "save([*drawn(int(count) - 1), cv2.flip(stolen, 1)])\n"
    )
    SCRIPTS["thief"] = thief
    found = study(line(tmp_path, "thief"))
    with pytest.raises(IntegrityError):
        found.bring()
    assert not found.images.exists()


def test_generators_of_others_become_arms_of_a_study_and_meet_the_gate(
    tmp_path: Path, films: Path
) -> None:
    write_samples(tmp_path, n_covid=12, n_normal=2, size=64, seed=77)
    (tmp_path / "COVID").rename(tmp_path / "split-0-made")
    few = ("ablation.repeats=1", "ablation.leave_source_out=false")
    settings = arguments(films, tmp_path / "work", *few)

    def call(*words: str) -> Result:
        arms = ("--arm", words[0], "--arm", line(tmp_path, "copier"))
        return CliRunner().invoke(main, ["ablate", *arms, *words[1:], *settings, "-q"])

    done = call(f"imported sd15={tmp_path}/{{split}}-made")
    assert done.exit_code == 0, done.output
    workspace = Workspace(tmp_path / "work")
    metrics = metrics_of(workspace.ablation_dir)
    assert metrics["arms"]["imported sd15"]["n_runs"] == 1
    assert "unknown" in metrics["arms"]["imported sd15"]["describes"]
    assert metrics["ledger"]["copies"] == {"sd15": 1, "pca": 1}
    assert metrics["question"]["main_images"] == "images of sd15"
    assert "images of sd15" in metrics["verdict"]["sentence"]
    assert "GAN images" not in metrics["verdict"]["sentence"]

    gates = {arm: folds["split-0"]["COVID"] for arm, folds in metrics["outside_quality"].items()}
    assert "memorization" in gates["command pca"]["failures"]
    assert "memorization" not in gates["imported sd15"]["failures"]
    page = json.loads((workspace.report_dir / "report.json").read_text())
    sections = {section["id"]: section["blocks"] for section in page["sections"]}
    (table,) = [one for one in sections["images"] if "images of" in one.get("columns", ())]
    shown = {row[1]: row[-1] for row in table["rows"]}
    assert shown.keys() == gates.keys()
    assert "memorization" in shown["command pca"]
    assert any("command pca" in limit and "memorization" in limit for limit in page["limits"])
    other = call(f"imported sd15={tmp_path}/{{split}}-other", "--register")
    assert "EXPLORATORY" in other.output  # other files under a registered name


@pytest.mark.parametrize(
    "wrong",
    [
        "imported sd15",
        "imported",
        "imported 'a b'=folder",
        "imported ../x=folder",
        "command name=pca",
        "command run=true",
        "command name=pca run='true",
        "imported a=b lineage=known",
        "command name=pca run='true {out}' hours=0",
        "command name=pca run='true {train}'",
        "command name=pca run='true {out} {cuont}'",
        "imported a=b/{splt}",
    ],
)
def test_a_line_that_lacks_something_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        read_arms([wrong], ratio="2:1")


def test_two_generators_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        read_arms(["imported a=x", "imported a=y"], ratio="2:1")
    arms = read_arms(
        ["command name=a run='x {out}' ratio=3:1", "command name=b run={out}"], ratio="2:1"
    )
    assert {arm.name for arm in arms if isinstance(arm, CommandArm)} == {
        "command a ratio=3:1",
        "command b",
    }


@pytest.mark.parametrize(
    ("shift", "word"), [(0.1, "unverified"), (-0.1, "hurts"), (0.0, "unverified")]
)
def test_an_unknown_lineage_caps_what_a_leak_could_fake(shift: float, word: str) -> None:
    values = [shift + step for step in (-0.001, 0.0005, 0.001, -0.0005, 0.0)]
    t = resampled_t(np.array(values), 0.2)
    evidence = Evidence(generated=True, to_real=t, to_duplicates=t, unverified=True)
    plain = Evidence(generated=True, to_real=t, to_duplicates=t)
    (found,) = judge([evidence], margin=0.01, alpha=0.05, title="AUROC")
    (uncapped,) = judge([plain], margin=0.01, alpha=0.05, title="AUROC")
    assert (found.word, found.uncapped) == (word, uncapped.word)
