"""Faults of the machine, met at the command: exit code 5, advice, nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.workspace import Workspace
from gan.module import LitDCGAN
from support.tiny_pipeline import arguments, tree

PETABYTE = 2**50


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def last_line(done: Result) -> str:
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def _torch_on_the_cpu() -> None:
    torch.empty(PETABYTE)


def _numpy() -> None:
    np.zeros(PETABYTE)


def _torch_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def _no_memory_for_a_file() -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.mark.parametrize(
    "work", [_torch_on_the_cpu, _numpy, _torch_on_a_gpu, _cublas, _no_memory_for_a_file]
)
def test_a_full_memory_is_a_fault_of_the_machine(
    work: Callable[[], None], copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(copied.root)
    monkeypatch.setattr("balancer.stages.classify.fit_and_test", lambda *_, **__: work())
    done = invoke("classify", *arguments(data, copied.root), "--force")
    assert done.exit_code == 5, done.output
    assert "memory" in last_line(done)
    assert "batch_size" in last_line(done)
    assert tree(copied.root) == before


@pytest.mark.fault(47)
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_full_gpu_is_a_fault_of_the_machine(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        torch.empty(PETABYTE, dtype=torch.uint8, device="cuda")

    monkeypatch.setattr("balancer.stages.classify.fit_and_test", work)
    done = invoke("classify", *arguments(data, copied.root), "--force")
    assert done.exit_code == 5, done.output
    assert "memory" in last_line(done)


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "space"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "disk"),
        (errno.EROFS, "--workspace"),
        (errno.ESTALE, "network disk"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "files"),
    ],
)
def test_each_fault_of_the_disk_has_advice(
    number: int, advice: str, copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    before = tree(copied.root)
    for place in ("balancer.stages.report.run", "balancer.stages.report.compose"):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)  # outside and inside the folder that is published
            done = invoke("report", *arguments(data, copied.root), "--force")
        assert done.exit_code == 5, (place, done.output)
        assert advice in last_line(done), place
        assert os.strerror(number) in last_line(done)
    assert tree(copied.root) == before


def _command(*words: object, prefix: str = "", **environment: str) -> tuple[int, str]:
    """Run the command in a process of its own; give its exit code and the last line of stderr."""
    code = "from balancer.cli import main; main()"
    done = subprocess.run(
        ["sh", "-c", f'{prefix} exec "$0" "$@"', sys.executable, "-c", code, *map(str, words)],
        capture_output=True, text=True, timeout=120, env=os.environ | environment,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr.splitlines()[-1] if done.stderr else ""


@pytest.mark.fault(41)
def test_the_limit_of_a_files_size(tmp_path: Path, data: Path) -> None:
    code, line = _command("prepare", *arguments(data, tmp_path / "w"), prefix="ulimit -f 2;")
    assert code == 5, line
    assert "ulimit -f" in line
    assert not (tmp_path / "w" / "index").exists()


def _limited(folder: Path, size: str, mounted: str) -> str:
    """Return shell code that mounts a small disk for one process, where the machine allows it."""
    code = f"mount -t tmpfs -o size={size} tmpfs {mounted}"
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-m", "sh", "-c", code], capture_output=True, cwd=folder
        ).returncode
    ):
        pytest.skip("needs the right to mount")
    return f"{code};"


def _in_a_small_disk(
    folder: Path, size: str, mounted: str, *words: object, **environment: str
) -> tuple[int, str]:
    code = _limited(folder, size, mounted)
    script = f'{code} exec "$0" -c "from balancer.cli import main; main()" "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, *map(str, words)],
        capture_output=True, text=True, timeout=120, env=os.environ | environment,
    )  # fmt: skip
    assert "Traceback (most" not in done.stderr.splitlines()[-1]
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.fault(48)
def test_shared_memory_too_small_for_loader_processes(copied: Workspace, data: Path) -> None:
    before = tree(copied.root)
    settings = arguments(data, copied.root, "classifier.num_workers=1")
    code, line = _in_a_small_disk(copied.root, "64k", "/dev/shm", "classify", *settings, "--force")
    assert code == 5, line
    assert "/dev/shm" in line
    assert "classifier.num_workers=0" in line
    assert tree(copied.root) == before


@pytest.mark.fault(41)
def test_a_disk_that_fills_up(tmp_path: Path, data: Path) -> None:
    (tmp_path / "small").mkdir()
    words = ("prepare", *arguments(data, tmp_path / "small" / "w"))
    code, line = _in_a_small_disk(tmp_path, "16k", str(tmp_path / "small"), *words)
    assert code == 5, line
    assert "space" in line


def test_no_folder_for_temporary_files(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_folder() -> str:
        raise FileNotFoundError(
            errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']"
        )

    def run(*_: object, **__: object) -> None:
        tempfile.mkdtemp()

    monkeypatch.setattr("tempfile.gettempdir", no_folder)
    monkeypatch.setattr("tempfile._gettempdir", no_folder)
    monkeypatch.setattr("balancer.stages.report.run", run)
    done = invoke("report", *arguments(data, copied.root))
    assert done.exit_code == 5, done.output
    assert "TMPDIR" in last_line(done)


@pytest.mark.fault(48)
def test_a_killed_loader_process_of_a_training(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(number: int) -> None:
        os.kill(os.getpid(), 9)

    before = tree(copied.root)
    load = torch.utils.data.DataLoader.__init__

    def with_short_life(self: object, *args: object, **words: object) -> None:
        if words.get("num_workers"):
            words["worker_init_fn"] = die
        load(self, *args, **words)  # type: ignore[arg-type]

    monkeypatch.setattr("torch.utils.data.DataLoader.__init__", with_short_life)
    settings = arguments(data, copied.root, "classifier.num_workers=1")
    done = invoke("classify", *settings, "--force")
    assert done.exit_code == 5, done.output
    assert "classifier.num_workers" in last_line(done)
    assert tree(copied.root) == before


def test_a_folder_deleted_under_a_training(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = copied.unfinished_gan_dir("COVID")
    step = LitDCGAN.training_step

    def with_a_hand_that_deletes(self: LitDCGAN, images: torch.Tensor, number: int) -> None:
        step(self, images, number)
        if number == 2:
            shutil.rmtree(unfinished)

    monkeypatch.setattr(LitDCGAN, "training_step", with_a_hand_that_deletes)
    done = invoke("gan-train", *arguments(data, copied.root, "seed=0"), "--force")
    assert done.exit_code == 5, done.output
    assert "COVID.unfinished" in last_line(done)
    assert copied.gan_dir("COVID").is_dir()


def test_a_file_missing_elsewhere_is_our_defect(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/elsewhere/x")

    monkeypatch.setattr("balancer.stages.report.run", fail)
    assert invoke("report", *arguments(data, copied.root)).exit_code == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE])
def test_images_are_not_blamed_for_the_machine(
    number: int, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.suffix == ".png":
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    done = invoke("prepare", *arguments(data, tmp_path / "w", "data.skip_bad=true"))
    assert done.exit_code == 5, done.output
    assert not (tmp_path / "w" / "index").exists()


@pytest.mark.parametrize(
    "setting",
    [
        "gan.evaluation_images",
        "quality.kid_subsets",
        "quality.kid_subset_size",
        "quality.ms_ssim_pairs",
        "quality.max_images",
        "lungs.batch_size",
        "lungs.max_images",
        "classifier.batch_size",
        "classifier.num_workers",
        "evaluation.bootstrap_samples",
        "synthesis.max_images",
        "hardware.devices",
        "hardware.num_nodes",
    ],
)
def test_settings_on_which_memory_hangs_have_bounds(setting: str, tmp_path: Path) -> None:
    done = invoke("prepare", "-w", tmp_path / "w", "--set", f"{setting}=1000000000")
    assert done.exit_code == 2, done.output
    assert setting in last_line(done)
    assert not (tmp_path / "w").exists()
