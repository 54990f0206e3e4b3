"""Honest class balancing for medical images.

Load a configuration, run the stages in a workspace, and read their typed results:

    >>> from balancer import load_config
    >>> config = load_config("smoke", options={"gan.images_shown": 8000})
    >>> config.gan.images_shown
    8000

`run(config, "workspace")` then does the whole job; docs/python.md has more.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balancer.api import (
        apply_lungs,
        audit_workspace,
        classify,
        evaluate,
        explain,
        find_learning_rate,
        measure_quality,
        prepare,
        synthesize,
        train_gan,
        train_lungs,
    )
    from balancer.comparison import ArmComparison, compare
    from balancer.config import BalancerConfig, load_config
    from balancer.errors import BalancerError
    from balancer.image_audit import ImageAudit, audit
    from balancer.judgement import Judgement, judge
    from balancer.outside import export_model, export_split, import_synthetic
    from balancer.studies import ablate, run, travel, write_report
    from balancer.synthetic.gan_sampler import GANSampler
    from balancer.workspace import Workspace
    from classifier.samplers import BalancedBatchSampler

__all__ = [
    "ArmComparison",
    "BalancedBatchSampler",
    "BalancerConfig",
    "BalancerError",
    "GANSampler",
    "ImageAudit",
    "Judgement",
    "Workspace",
    "ablate",
    "apply_lungs",
    "audit",
    "audit_workspace",
    "classify",
    "compare",
    "evaluate",
    "explain",
    "export_model",
    "export_split",
    "find_learning_rate",
    "import_synthetic",
    "judge",
    "load_config",
    "measure_quality",
    "prepare",
    "run",
    "synthesize",
    "train_gan",
    "train_lungs",
    "travel",
    "write_report",
]

_HOMES = {
    "ArmComparison": "balancer.comparison",
    "BalancedBatchSampler": "classifier.samplers",
    "BalancerConfig": "balancer.config",
    "BalancerError": "balancer.errors",
    "Judgement": "balancer.judgement",
    "Workspace": "balancer.workspace",
    "ImageAudit": "balancer.image_audit",
    "audit": "balancer.image_audit",
    "GANSampler": "balancer.synthetic.gan_sampler",
    "ablate": "balancer.studies",
    "compare": "balancer.comparison",
    "export_model": "balancer.outside",
    "export_split": "balancer.outside",
    "import_synthetic": "balancer.outside",
    "judge": "balancer.judgement",
    "load_config": "balancer.config",
    "run": "balancer.studies",
    "travel": "balancer.studies",
    "write_report": "balancer.studies",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import balancer` loads nothing heavy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "balancer.api")), name)


def __dir__() -> list[str]:
    return __all__
