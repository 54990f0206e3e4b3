"""Bring the images of an arm from outside into a fold: from its folder, or from its command."""

import logging
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from balancer.ablation.families.outside import CommandArm, ImportedArm, OutsideArm
from balancer.ablation.folds import derived_seed
from balancer.ablation.protocol import newest_hash
from balancer.config import BalancerConfig
from balancer.data.collection import read_collection
from balancer.data.index import Index, load_index
from balancer.errors import ConfigurationError, DataError
from balancer.results import Record, perform, standing_result
from balancer.synthetic.export import IMAGES, export_training_images
from balancer.synthetic.import_images import import_images
from balancer.synthetic.lineage import read_training_ids
from balancer.synthetic.outside_images import ImportMetrics
from balancer.synthetic.real_copies import Search
from balancer.synthetic.records import ClassLineage
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds that a stopped command has to end by itself."""
_SHOWN = 200


class OutsideImages(Record):
    """Images of an arm from outside in one fold, by class."""

    classes: dict[str, ImportMetrics]


def bring_outside_images(
    config: BalancerConfig, workspace: Workspace, fold: str, number: int, arm: OutsideArm,
    *, force: bool = False,
) -> float:  # fmt: skip
    """Bring the images of an arm into a fold, unless they are there.

    Args:
        config: Configuration of the run.
        workspace: Main workspace.
        fold: Name of the fold.
        number: Position of the fold in the plan; the seed of a command depends on it.
        arm: The arm.
        force: Bring them again.

    Returns:
        Seconds that it took, the time of the command included.

    Raises:
        ConfigurationError: There is no such program.
        DataError: The command fails or draws too few images, or a file is no usable image.
        IntegrityError: An image copies a validation or test image of the fold.
    """
    index = load_index(workspace.fold(fold).index_dir)
    place = arm.folder(workspace.fold(fold))
    settings = {"arm": dict(arm.options), "seed": config.seed, "size": config.classifier_image_size}
    inputs = {"index": index.index_hash}

    def work(folder: Path) -> OutsideImages:
        found = {}
        for label, count in arm.images_wanted(index).items():
            search = Search(arm.source, arm.name, fold, config.seed, newest_hash(workspace))
            images, lineage = _images(config, place, index, arm, fold, number, label, count)
            (folder / label).mkdir()
            found[label] = import_images(
                read_collection(images, config.data), label, lineage, folder / label, index,
                search=search, ledger=workspace.ledger_dir,
            )  # fmt: skip
            if found[label].images < count:
                raise DataError(
                    f"The arm {arm.name} should bring {count} images of {label} for {fold}, but "
                    f"{images} has {found[label].images}; let its generator draw more."
                )
        return OutsideImages(classes=found)

    with place.lock():
        directory = place.outside_images_dir
        result = standing_result(
            directory, OutsideImages, settings=settings, inputs=inputs, force=force, announce=False
        )
        if result is None:
            result = perform(
                "ablate", place, directory, settings=settings, inputs=inputs, work=work
            )
            shutil.rmtree(place.root / _WORK, ignore_errors=True)
        return result.seconds


_WORK = "work"


def _images(
    config: BalancerConfig, place: Workspace, index: Index, arm: OutsideArm, fold: str,
    number: int, label: str, count: int,
) -> tuple[Path, ClassLineage]:  # fmt: skip
    """Return where the images of a class are, once they are there, and what is known of them."""
    if isinstance(arm, ImportedArm):
        ids = arm.options["ids"] and read_training_ids(Path(arm.place("ids", fold, label)), index)
        lineage = ClassLineage(
            checkpoint=None,
            training_ids=ids or "unknown",
            name=arm.source,
            declared=arm.lineage == "declared",
        )
        return Path(arm.place("folder", fold, label)), lineage
    if not isinstance(arm, CommandArm):
        raise TypeError(f"{arm.name} brings no images from outside.")
    work = place.root / _WORK / label
    train, out, state = work / "train", work / "out", work / "state"
    for folder in (train, out):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    state.mkdir(exist_ok=True)  # kept when the command is stopped, so that it can resume
    export_training_images(index, label, train, size=config.classifier_image_size)
    words = arm.words({
        "train": str(train / IMAGES), "out": str(out), "state": str(state), "count": str(count),
        "seed": str(derived_seed(config.seed, number, 3)), "class": label,
        "size": str(config.classifier_image_size), "split": fold,
    })  # fmt: skip
    what = f"The command of the arm {arm.name} should draw {count} images of {label} for {fold}"
    log.info("Running %s for %s", arm.name, fold)
    _run(words, work / "log.txt", arm.options["hours"] * 3600, what)
    if not any(out.iterdir()):
        raise DataError(f"{what}, but left its folder {{out}} empty; correct the command.")
    # Trained on what it was given, as far as anybody can say: it may have read other files.
    return out, ClassLineage(
        checkpoint=None, training_ids="unknown", name=arm.source, declared=True
    )


def _run(words: list[str], output: Path, seconds: float, what: str) -> None:
    """Run a program without a shell, and end it with all that it started, however this ends."""
    with output.open("wb") as file:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        except OSError as error:
            raise ConfigurationError(
                f"{what}, but {words[0]!r} cannot be run ({error.strerror}); correct ablation.arms."
            ) from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DataError(
                f"{what}, but was stopped after {seconds / 3600:.3g} hours; {_end_of(output)}; "
                "give it more with the option hours, or make it faster."
            ) from None
        finally:
            _end(process)
    if code:
        ended = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise DataError(f"{what}, but ended with {ended}; {_end_of(output)}; correct it.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and its children, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


def _end_of(output: Path) -> str:
    lines = output.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
    return (
        f"its log {output} ends with {last[-_SHOWN:]!r}" if last else f"its log {output} is empty"
    )
