"""The folder of a run: a folder per stage, one writer at a time, whole folders only."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from balancer.errors import DISK_FAULTS, ConfigurationError, EnvironmentFault, advice_on
from balancer.files import sync, sync_tree

_PARTIAL = ".partial"
_OLD = ".old" + _PARTIAL
_LOCK = ".lock"
_FOLDS = ("runs", "folds")
_TRAVEL = "travel"
_FOLDERS = (
    *("index", "synthetic", "quality", "judge", "report", "ablation", "lr-find", "explain"),
    *("audit", "lungs", "lungs/model", "export/*/*"),
    *("gan/*", "imported/*", "classify/*", "evaluate/*/*", "*/cache/*"),
    *("runs/units/*/*/*", "runs/registered/*/*/*", "runs/external/*/*/*/*"),
)
_RESULTS = (
    *("index", "audit", "lungs", "lungs/model", "gan/*", "imported/*", "synthetic", "quality"),
    *("classify/*", "lr-find", "evaluate/*/*", "explain", "judge", "export/*/*"),
    *("runs/folds/*/gan/*", "runs/units/*/*/*", "ablation", "quick", "report"),
)
"""Folders of stages and of single trainings, in the order in which they are usually made."""


class Workspace:
    """Paths of one workspace, and two guarantees about them.

    A stage's folder is missing, old or new, but never half-written (`publish`); and two commands
    never write at the same time (`lock`).
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    @classmethod
    def containing(cls, path: Path) -> "Workspace | None":
        """Find the workspace that a file or folder belongs to; None if there is none.

        It is the nearest folder, at or above `path`, that holds an index. A fold of an ablation is
        part of the workspace of the ablation.
        """
        place = path.expanduser().resolve()
        for folder in (place, *place.parents):
            if (folder / "index" / "index.csv").is_file():
                is_fold = folder.parent.name == "folds" and folder.parent.parent.name == "runs"
                above = cls.containing(folder.parent) if is_fold else None
                return above or cls(folder)
        return None

    @property
    def index_dir(self) -> Path:
        """Folder that `prepare` writes."""
        return self.root / "index"

    @property
    def unfinished_index_dir(self) -> Path:
        """Folder of an interrupted `prepare`, from which the next one resumes."""
        return self.root / "index.unfinished"

    @property
    def audit_dir(self) -> Path:
        """Folder that `audit` writes."""
        return self.root / "audit"

    @property
    def synthetic_dir(self) -> Path:
        """Folder that `synthesize` writes."""
        return self.root / "synthetic"

    @property
    def quality_dir(self) -> Path:
        """Folder that `quality` writes."""
        return self.root / "quality"

    @property
    def judge_dir(self) -> Path:
        """Folder that `judge` writes."""
        return self.root / "judge"

    @property
    def report_dir(self) -> Path:
        """Folder that `report` writes."""
        return self.root / "report"

    @property
    def lr_find_dir(self) -> Path:
        """Folder that `lr-find` writes."""
        return self.root / "lr-find"

    @property
    def explain_dir(self) -> Path:
        """Folder that `explain` writes."""
        return self.root / "explain"

    @property
    def lungs_dir(self) -> Path:
        """Folder of the masks of `lungs apply`, and in `model/` of the U-Net of `lungs train`."""
        return self.root / "lungs"

    @property
    def lung_masks_dir(self) -> Path:
        """`lungs apply` writes the masks here."""
        return self.lungs_dir / "masks"

    @property
    def ablation_dir(self) -> Path:
        """Folder of the comparison that `ablate` writes."""
        return self.root / "ablation"

    @property
    def quick_dir(self) -> Path:
        """Folder of the study on frozen features that `ablate --quick` writes."""
        return self.root / "quick"

    @property
    def travel(self) -> "TravelWorkspace":
        """The place of the study of travel, a study of its own on the images of this workspace."""
        return TravelWorkspace(self.root / _TRAVEL)

    def resolved(self) -> "Workspace":
        """Return the same place by its absolute path."""
        return type(self)(self.root.resolve())

    @property
    def ledger_dir(self) -> Path:
        """Folder with one file per read of test images; none is ever removed."""
        return self.root / "runs" / "ledger"

    @property
    def protocol_file(self) -> Path:
        """File of the ablation's protocol; entries are added to it and none is ever changed."""
        return self.root / "runs" / "protocol.json"

    @property
    def registered_runs_dir(self) -> Path:
        """Folder of the first predictions of registered units; none is ever replaced."""
        return self.root / "runs" / "registered"

    def fold(self, name: str) -> "Workspace":
        """Return the workspace of one fold of an ablation, with its own index, GANs and images."""
        return Workspace(self.root.joinpath(*_FOLDS, name))

    def outside(self, arm: str) -> "Workspace":
        """Return the workspace of an arm from outside in this fold, with a lock of its own."""
        return Workspace(self.root / "outside" / arm)

    @property
    def outside_images_dir(self) -> Path:
        """Folder of the images of an arm from outside, a folder per class."""
        return self.root / "images"

    @property
    def main(self) -> "Workspace":
        """The workspace that this fold belongs to; this workspace itself if it is no fold."""
        root = self.root.resolve()
        place = root.parents[2] if root.parts[-3:-1] == _FOLDS else root
        is_travel = place.name == _TRAVEL and not (place / "index").is_dir()
        if is_travel and (place.parent / "index").is_dir():
            place = place.parent
        return self if place == root else Workspace(place)

    def folds(self) -> list["Workspace"]:
        """The workspaces of all folds of the ablation, by name."""
        return [type(self)(path) for path in sorted((self.root / "runs" / "folds").glob("*"))]

    def unit_dir(self, fold: str, seed: int, arm: str) -> Path:
        """Return the folder of one trained and tested classifier of an ablation."""
        return self.root / "runs" / "units" / fold / str(seed) / arm

    def registered_dir(self, fold: str, seed: int, arm: str) -> Path:
        """Return the folder of the first predictions of a registered unit."""
        return self.registered_runs_dir / fold / str(seed) / arm

    def registered_external_dir(self, name: str, fold: str, seed: int, arm: str) -> Path:
        """Return the folder of a registered unit's first predictions for another data set."""
        return self.root / "runs" / "registered-external" / name / fold / str(seed) / arm

    def evaluate_dir(self, name: str, arm: str) -> Path:
        """Return the folder of the test of one arm on another data set."""
        return self.root / "evaluate" / name / arm

    def external_dir(self, name: str, fold: str, seed: int, arm: str) -> Path:
        """Return the folder of predictions of one finished classifier for another data set."""
        return self.root / "runs" / "external" / name / fold / str(seed) / arm

    @property
    def readers_dir(self) -> Path:
        """Folder of the reader studies of `serve`, a CSV per reading."""
        return self.root / "readers"

    @property
    def progress_file(self) -> Path:
        """File that a running ablation leaves for `serve`; gone when it ends."""
        return self.root / "runs" / "progress.json"

    @property
    def tracking_dir(self) -> Path:
        """Folder of the runs that a tracker keeps."""
        return self.root / "tracking"

    def results(self) -> list[Path]:
        """Return the folders of finished stages and trainings, those of `travel` included."""
        unfinished = (_PARTIAL, ".unfinished")
        return [
            path.parent
            for root in (self.root, self.root / _TRAVEL)
            for folder in _RESULTS
            for path in sorted(root.glob(f"{folder}/result.json"))
            if not path.parent.name.endswith(unfinished)
        ]

    @property
    def feature_cache_dir(self) -> Path:
        """Cache of image features, keyed by content; safe to delete."""
        return self.root / "cache" / "features"

    @property
    def judge_cache_dir(self) -> Path:
        """Folder of the pixels that `judge` decoded; safe to delete."""
        return self.root / "cache" / "judge"

    def gan_dir(self, label: str) -> Path:
        """Return the folder of the finished generator of a class."""
        return self.root / "gan" / label

    def imported_dir(self, label: str) -> Path:
        """Return the folder of the images from outside of a class."""
        return self.root / "imported" / label

    def unfinished_gan_dir(self, label: str) -> Path:
        """Return the folder of an unfinished training, which is visible and can be resumed."""
        return self.root / "gan" / f"{label}.unfinished"

    @property
    def unfinished_shared_gan_dir(self) -> Path:
        """Folder of an unfinished training of several classes in one network; it can be resumed."""
        return self.root / "gan.unfinished"

    def has_generated(self) -> bool:
        """Return True if a generator was trained here, or is being trained."""
        places = [self.root / "gan", self.root / "imported"]
        return any(any(place.glob("*")) for place in places) or self.synthetic_dir.exists()

    def classify_dir(self, arm: str) -> Path:
        """Return the folder of one arm of `classify`: `real` or `real+synthetic`."""
        return self.root / "classify" / arm

    def export_dir(self, kind: str, of: str) -> Path:
        """Return the folder of an exported model: a kind, and the arm or the class."""
        return self.root / "export" / kind / of

    def refuse_overlap(self, data: Path) -> None:
        """Refuse a workspace inside or around the data folder, so that no output is read as data.

        Raises:
            ConfigurationError: One contains the other.
        """
        root, place = data.expanduser().resolve(), self.root.resolve()
        if place.is_relative_to(root) or root.is_relative_to(place):
            raise ConfigurationError(
                f"The data folder {root} and the workspace {place} should lie apart, but one "
                "contains the other; choose another --workspace."
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for one writer, and remove what a killed one left half-done.

        Raises:
            EnvironmentFault: Another command holds it, or the folder is not writable.
        """
        if self.root.exists() and not self.root.is_dir():
            raise ConfigurationError(
                f"--workspace should name a folder, but {self.root} is a file; choose another."
            )
        is_new = not self.root.exists()
        held = FileLock(self.root / _LOCK, blocking=False)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            held.acquire()
        except Timeout:
            raise EnvironmentFault(
                f"Another balancer command is writing to {self.root}; wait for it, "
                "or choose another folder with --workspace."
            ) from None
        except OSError as error:
            raise EnvironmentFault(
                f"The workspace {self.root} should be a writable folder, but: {error.strerror}; "
                "choose another with --workspace."
            ) from None
        with held:
            self._sweep()
            try:
                yield
            finally:
                if is_new and not {path.name for path in self.root.iterdir()} - {_LOCK}:
                    # The command wrote nothing. Windows removes no file that is locked.
                    shutil.rmtree(self.root, ignore_errors=os.name == "nt")

    @contextmanager
    def publish(self, directory: Path) -> Iterator[Path]:
        """Yield an empty folder that replaces `directory` if the block succeeds.

        Raises:
            EnvironmentFault: The disk is full or the folder cannot be written.
        """
        partial = directory.with_name(directory.name + _PARTIAL)
        try:
            _remove(partial)
            partial.mkdir(parents=True)
            yield partial
            self.replace(directory, partial)
        except BaseException as error:
            _remove(partial)
            if isinstance(error, OSError) and error.errno in DISK_FAULTS:
                raise EnvironmentFault(
                    f"{directory} could not be written ({error.strerror}); the old "
                    f"content is unchanged; {advice_on(error.errno)}."
                ) from error
            raise

    def replace(self, directory: Path, new: Path) -> None:
        """Replace `directory` by the finished folder `new`."""
        # A folder cannot be renamed over a non-empty one: the old one is renamed first, and
        # `_sweep` restores it if the process dies in between. After a power cut, a name may be on
        # the disk before the content: the content is synced first, and the names are before the
        # old folder goes.
        sync_tree(new)
        aside = directory.with_name(directory.name + _OLD)
        _remove(aside)
        if directory.exists():
            directory.replace(aside)
        new.replace(directory)
        sync(directory.parent)
        _remove(aside)

    def _sweep(self) -> None:
        for old in self._left_behind(_OLD):
            rightful = old.with_name(old.name.removesuffix(_OLD))
            if not rightful.exists():
                old.replace(rightful)
        for partial in self._left_behind(_PARTIAL):
            _remove(partial)
        for study in (self, self.travel):
            study.progress_file.unlink(missing_ok=True)

    def _left_behind(self, suffix: str) -> list[Path]:
        return [path for folder in _FOLDERS for path in self.root.glob(folder + suffix)]


class TravelWorkspace(Workspace):
    """A study in `travel/` of a workspace: its own protocol, ledger and runs, the same index."""

    @property
    def above(self) -> Workspace:
        """The workspace whose images are studied."""
        return Workspace(self.root.parent)

    @property
    def index_dir(self) -> Path:
        """Folder that `prepare` wrote."""
        return self.above.index_dir

    @property
    def feature_cache_dir(self) -> Path:
        """Cache that both share."""
        return self.above.feature_cache_dir


def _remove(directory: Path) -> None:
    if directory.is_dir():
        shutil.rmtree(directory)
    else:
        directory.unlink(missing_ok=True)
