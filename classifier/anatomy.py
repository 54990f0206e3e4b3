"""Anatomy of a backbone, from a run without numbers: order of layers, maps, features.

Nothing is computed: parameters and images are on torch's `meta` device, which has shapes alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call

from classifier.cards import Groups, ModelError
from classifier.library_backbones import unfit

_LEAST_GROUPS, _EVEN_GROUPS = 3, 4


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Layers and feature maps of one backbone.

    Attributes:
        n_features: Width of its output.
        layers: Names of disjoint modules that hold all parameters, in the order in which they are
            used: the smallest ones that have parameters of their own.
        sides: Side of the last maps of each layer; 0 for a layer without maps.
        maps: Name of the last module with parameters that has feature maps; "": only the stem
            has.
    """

    n_features: int
    layers: tuple[str, ...]
    sides: tuple[int, ...]
    maps: str


def examine(network: nn.Module, name: str, side: int, channels: int) -> Anatomy:
    """Run a backbone on images of a size, and record the order of its layers.

    Args:
        network: Backbone; unchanged.
        name: Name of the model, for errors.
        side: Side of the images.
        channels: Number of channels of the images.

    Raises:
        ModelError: It cannot read images of the size, or its output is not (N, F).
    """
    trace = _Trace(network)
    features = trace.run(name, side, channels)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise ModelError(
            f"{name} has no features (N, F) and cannot be a classifier; change classifier.model."
        )
    covering = set(_covering(network, ""))
    # A module used inside another's forward has no call of its own: it follows its predecessor.
    position, positions = -1, {}
    for part, _ in network.named_modules():
        position = trace.calls.get(part, position)
        positions[part] = position
    layers = tuple(
        part for part in sorted(positions, key=positions.__getitem__) if part in covering
    )
    sides = tuple(trace.side(part) for part in layers)
    return Anatomy(features.shape[1], layers, sides, trace.last_maps())


def group_layers(anatomy: Anatomy, groups: Groups) -> list[list[str]]:
    """Return all layers from the stem on in groups; none is empty.

    Args:
        anatomy: Anatomy of the network.
        groups: Names of parts, as on its card; (): layers whose maps have one side are a group or,
            if there are fewer than three such groups, four groups have equal numbers of layers.
    """
    layers = list(anatomy.layers)
    if groups:
        owners = {part: number for number, parts in enumerate(groups) for part in parts}
        found: list[list[str]] = [[] for _ in groups]
        for layer in layers:
            found[_owner(layer, owners)].append(layer)
        return [group for group in found if group]
    found = _by_side(layers, anatomy.sides)
    if len(found) >= _LEAST_GROUPS:
        return found
    n_groups = min(_EVEN_GROUPS, len(layers))
    cuts = [round(number * len(layers) / n_groups) for number in range(n_groups + 1)]
    return [layers[first:last] for first, last in pairwise(cuts)]


def _by_side(layers: Sequence[str], sides: Sequence[int]) -> list[list[str]]:
    groups: list[list[str]] = []
    smallest: int | None = None
    for layer, side in zip(layers, sides, strict=True):
        # Maps of one pixel belong to a side branch, such as squeeze-and-excitation.
        if smallest is None or (side < smallest and side != 1):
            groups.append([])
            smallest = side
        groups[-1].append(layer)
    return groups


def _owner(layer: str, owners: Mapping[str, int]) -> int:
    parts = layer.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(owners[name] for name in names if name in owners)


def _covering(module: nn.Module, name: str) -> Iterator[str]:
    """Yield names of the smallest disjoint modules that hold all parameters."""
    if _owns(module):
        yield name
        return
    for child_name, child in module.named_children():
        yield from _covering(child, f"{name}.{child_name}" if name else child_name)


def _owns(module: nn.Module) -> bool:
    """Return True for a module with parameters of its own, besides those of its parts."""
    return next(module.parameters(recurse=False), None) is not None


class _Trace:
    """One run of a network: the order of module calls, and the shapes of their outputs.

    Attributes:
        calls: Number of the first call of each module.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.calls: dict[str, int] = {}
        self._shapes: dict[str, torch.Size] = {}

    def run(self, name: str, side: int, channels: int) -> object:
        modules = dict(self._network.named_modules())
        modes = {part: module.training for part, module in modules.items()}
        hooks = []
        for part, module in modules.items():
            hooks.append(module.register_forward_pre_hook(self._record_call(part)))
            hooks.append(module.register_forward_hook(self._record_shape(part)))
        tensors = {**dict(self._network.named_parameters()), **dict(self._network.named_buffers())}
        tensors = {part: tensor.detach().to("meta") for part, tensor in tensors.items()}
        try:
            self._network.eval()
            with torch.no_grad():
                images = torch.empty(2, channels, side, side, device="meta")
                return functional_call(self._network, tensors, (images,))
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            raise unfit(name, side, error) from None
        finally:
            for hook in hooks:
                hook.remove()
            for part, module in modules.items():
                module.training = modes[part]

    def side(self, part: str) -> int:
        shape = self._shapes.get(part, torch.Size())
        return shape[-1] if len(shape) == 4 else 0

    def last_maps(self) -> str:
        """Return the last module with parameters whose maps are square, of two pixels or more."""
        found = ""
        modules = dict(self._network.named_modules())
        stem = next(part for part in self.calls if part and _owns(modules[part]))
        for part, shape in self._shapes.items():
            is_map = len(shape) == 4 and shape[2] == shape[3] > 1
            if is_map and next(modules[part].parameters(), None) is not None:
                found = part
        return "" if found == stem else found

    def _record_call(self, part: str) -> Callable[[nn.Module, object], None]:
        def hook(module: nn.Module, inputs: object) -> None:
            self.calls.setdefault(part, len(self.calls))

        return hook

    def _record_shape(self, part: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                self._shapes.pop(part, None)  # the last call counts
                self._shapes[part] = output.shape

        return hook
