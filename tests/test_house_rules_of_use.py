"""House rules on who may load, predict and read what, read from the source itself."""

import ast

from balancer.drawing.wording import TITLES
from support.sources import ROOT, SOURCES, imports


def test_weights_are_never_unpickled_unguarded() -> None:
    calls = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                guard = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert guard.get("weights_only") == "True", f"{path}:{node.lineno}"
                calls += 1
    assert calls


_LOADS = {"classifier.load", "classifier.checkpoint.load", "classifier.checkpoint.load_classifier"}
_PREDICTS = {"classifier.predict", "classifier.prediction"}  # of either name of the module
_FIT_AND_TEST = "balancer/evaluation/fit_and_test.py"


def _balancer_files_that_use(names: set[str]) -> set[str]:
    """Files of `balancer` that import one of the names, or reach it as an attribute."""
    return {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.is_relative_to(ROOT / "balancer")
        and names
        & {
            *imports(path),
            *(
                ast.unparse(node)
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Attribute)
            ),
        }
    }


def _calls_of(name: str) -> list[tuple[str, str, int]]:
    """File, function and line of each call of a function or class in `balancer`."""
    return [
        (str(path.relative_to(ROOT)), function.name, node.lineno)
        for path in SOURCES
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name
    ]


def test_one_module_reads_trained_classifiers() -> None:
    assert _balancer_files_that_use(_LOADS) == {"balancer/evaluation/trained_classifier.py"}


def test_test_images_are_predicted_only_after_their_read_is_noted() -> None:
    (noted,) = (call for call in _calls_of("note_read") if call[1] != "note_search")
    (handed_over,) = _calls_of("NotedImages")
    assert noted[:2] == handed_over[:2] == (_FIT_AND_TEST, "note_images")
    assert noted[2] < handed_over[2]
    assert _balancer_files_that_use(_PREDICTS) == {
        _FIT_AND_TEST,
        "balancer/app/reading.py",  # images that a user of the page uploads
        "balancer/explanation/case_sheets.py",  # a few images, after `note_images`
    }


def test_one_function_trains_and_tests_classifiers() -> None:
    files = {file for file, _, _ in _calls_of("fit_and_test")}
    assert files == {"balancer/stages/classify.py", "balancer/ablation/unit.py"}
    assert _balancer_files_that_use(
        {"classifier.threshold", "classifier.decision", "classifier.choose_threshold"}
    ) == {_FIT_AND_TEST}


def test_no_module_counts_folders_up_to_its_workspace() -> None:
    # `Workspace` knows where a fold is; a module that counts levels is wrong after the next move.
    for path in SOURCES:
        if path.name != "workspace.py":
            text = path.read_text(encoding="utf-8")
            assert "LEVELS_UP" not in text, path
            assert ".parents[" not in text, path


_BY_METRIC = {*TITLES}
"""Keys of records that map names of metrics to values: `ArmResult.metrics` (to `Level`) and
`SameImagesArm.metrics` (to `Scalar`)."""


def test_no_room_reads_the_metrics_of_a_result_by_key() -> None:
    """They are records; mypy knows their fields, and no string stands for one."""
    seen = 0
    for path in SOURCES:
        if not path.is_relative_to(ROOT / "balancer"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript):
                owner, key = node.value, node.slice
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr != "get" or not node.args:
                    continue
                owner, key = node.func.value, node.args[0]
            else:
                continue
            if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                continue
            place = f"{path}:{node.lineno}"
            assert key.value not in ("metrics", "settings"), place
            name = getattr(owner, "attr", getattr(owner, "id", None))
            if name == "metrics":
                assert key.value in _BY_METRIC, place
                seen += 1
    assert seen  # else the rule looks for the wrong thing


def test_every_result_is_read_with_its_type() -> None:
    """A result is of a record, never of a dictionary."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "StageResult":
                assert "dict" not in ast.unparse(node.slice), f"{path}:{node.lineno}"
