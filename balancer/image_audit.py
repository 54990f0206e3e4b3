"""`balancer.audit`: copies, suspicious images and doubtful labels of images of any kind."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from balancer.config import BalancerConfig, load_config
from balancer.errors import ConfigurationError
from balancer.given_images import given_collection
from balancer.shown_page import ShownPage

if TYPE_CHECKING:
    import pandas as pd

    from balancer.data.audit.content import Audit

_ALL = "images"
"""Class of images that have none."""


class ImageAudit(ShownPage):
    """The findings on some images; a notebook shows its first screen.

    Attributes:
        content: Typed content, as in `audit.json`.
        page: The page as HTML, which loads no other file.
    """

    def __init__(self, content: "Audit", page: str, number_of: dict[str, int]) -> None:
        super().__init__(page)
        self.content = content
        self._number_of = number_of

    @property
    def passed(self) -> bool:
        """True if nothing was found that somebody should act on."""
        return not any(finding.counts for finding in self.content.findings)

    @property
    def sentence(self) -> str:
        """The findings that count, in one sentence."""
        titles = [finding.title for finding in self.content.findings if finding.counts]
        return f"To look at: {'; '.join(titles)}." if titles else "Nothing to act on was found."

    @property
    def figures(self) -> "pd.DataFrame":
        """A row per finding: its name, meaning, number, and whether it counts."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"finding": one.name, "number": len(one.groups), "counts": one.counts,
                 "title": one.title, "sentence": one.sentence}
                for one in self.content.findings
            ],
            columns=["finding", "number", "counts", "title", "sentence"],
        )  # fmt: skip

    @property
    def images(self) -> "pd.DataFrame":
        """A row per image of a finding: `group` counts those that belong together.

        `image` is the position in what was given, or, of a folder, None; `path` names the file.
        """
        import pandas as pd

        rows = [
            {
                "finding": finding.name, "group": group, "image": self._number_of.get(path),
                "path": path, "label": self.content.labels[path],
            }
            for finding in self.content.findings
            for group, paths in enumerate(finding.groups)
            for path in paths
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["finding", "group", "image", "path", "label"])


def audit(
    images: Any,
    labels: Sequence[Any] | None = None,
    *,
    groups: Sequence[Any] | None = None,
    config: BalancerConfig | None = None,
) -> ImageAudit:
    """Search images for copies, suspicious images, and labels that others contradict.

    Nothing is written and no workspace is needed; `audit_workspace` audits one with its splits.

    Args:
        images: The path to a folder, with a folder per class or without; a list of paths; an array
            uint8 (N, H, W) or (N, H, W, 3), or float in [0, 1]; a data set; or a dictionary of
            class to one of these.
        labels: Class of each image, (N,); None: they have none, or the images have them.
        groups: Patient of each image, (N,), None or NaN where unknown.
        config: All settings; None for the defaults. `data` is used.

    Raises:
        ConfigurationError: Something is given that holds no images.
        DataError: No image can be used.

    Example:
        >>> found = balancer.audit("films")  # doctest: +SKIP
        >>> found.passed, found.figures, found.images  # doctest: +SKIP
    """
    from balancer.stages import audit as stage

    if isinstance(config, Path | str):
        raise ConfigurationError(
            "config should be a BalancerConfig, but is a path; audit a workspace with "
            "audit_workspace(config, workspace)."
        )
    data = (load_config() if config is None else config).data.model_copy(update={"skip_bad": True})
    with TemporaryDirectory() as folder:
        side, number_of = given_collection(images, labels, groups, data, Path(folder) / "given")
        if side.labels == ("",):
            side = side.labelled(_ALL)
        content, page = stage.examine(side, data, Path(folder))
    return ImageAudit(content, page, number_of)
