"""What a backbone is made of, seen by running it without numbers: order of layers, maps, features.

Nothing is computed: parameters and images are on torch's `meta` device, which knows shapes alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call

from classifier.cards import Groups, ModelError
from classifier.external import unfit

_LEAST_GROUPS, _EVEN_GROUPS = 3, 4


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Of one backbone.

    Attributes:
        n_features: Width of its output.
        layers: Names of disjoint modules that hold all parameters, in the order in which they are
            used: the smallest ones that have parameters of their own.
        sides: Per layer, the side of the maps it gave last; 0 where it gives none.
        maps: Name of the last module with parameters that gives feature maps; "": none but the
            stem does.
    """

    n_features: int
    layers: tuple[str, ...]
    sides: tuple[int, ...]
    maps: str


def examine(network: nn.Module, name: str, side: int) -> Anatomy:
    """Run a backbone on images of a size, and note what is used when.

    Args:
        network: Left as it is.
        name: Of the model, for errors.
        side: Of the images.

    Raises:
        ModelError: It cannot take the size, or gives no flat features.
    """
    trace = _Trace(network)
    features = trace.run(name, side)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise ModelError(
            f"{name} gives no flat features and cannot be used as a classifier; choose another."
        )
    covering = set(_covering(network, ""))
    # What runs inside another's forward has no call of its own: it stays behind its predecessor.
    place, places = -1, {}
    for part, _ in network.named_modules():
        place = trace.calls.get(part, place)
        places[part] = place
    layers = tuple(part for part in sorted(places, key=places.__getitem__) if part in covering)
    sides = tuple(trace.side(part) for part in layers)
    return Anatomy(features.shape[1], layers, sides, trace.last_maps())


def group_layers(anatomy: Anatomy, groups: Groups) -> list[list[str]]:
    """Layers from the stem on, each in one group, none empty.

    Args:
        anatomy: Of the network.
        groups: Names of parts, as on its card; (): layers whose maps have one side are a group, or,
            where sides tell too little, four groups have as many layers each.
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
        # Maps of one pixel belong to a branch beside the trunk, such as squeeze-and-excitation.
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
    """Names of the smallest disjoint modules that hold all parameters."""
    if _owns(module):
        yield name
        return
    for child_name, child in module.named_children():
        yield from _covering(child, f"{name}.{child_name}" if name else child_name)


def _owns(module: nn.Module) -> bool:
    """Whether a module has parameters of its own, beside those of its parts."""
    return next(module.parameters(recurse=False), None) is not None


class _Trace:
    """One run: which modules were called in which order, and the shapes of what they gave.

    Attributes:
        calls: Per module, the number of its first call.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.calls: dict[str, int] = {}
        self._shapes: dict[str, torch.Size] = {}

    def run(self, name: str, side: int) -> object:
        modules = dict(self._network.named_modules())
        modes = {part: module.training for part, module in modules.items()}
        hooks = []
        for part, module in modules.items():
            hooks.append(module.register_forward_pre_hook(self._called(part)))
            hooks.append(module.register_forward_hook(self._gave(part)))
        tensors = {**dict(self._network.named_parameters()), **dict(self._network.named_buffers())}
        tensors = {part: tensor.detach().to("meta") for part, tensor in tensors.items()}
        try:
            self._network.eval()
            with torch.no_grad():
                images = torch.empty(2, 1, side, side, device="meta")
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
        """The module with parameters that gave square maps of two pixels or more last."""
        found = ""
        modules = dict(self._network.named_modules())
        stem = next(part for part in self.calls if part and _owns(modules[part]))
        for part, shape in self._shapes.items():
            is_map = len(shape) == 4 and shape[2] == shape[3] > 1
            if is_map and next(modules[part].parameters(), None) is not None:
                found = part
        return "" if found == stem else found

    def _called(self, part: str) -> Callable[[nn.Module, object], None]:
        def hook(module: nn.Module, inputs: object) -> None:
            self.calls.setdefault(part, len(self.calls))

        return hook

    def _gave(self, part: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                self._shapes.pop(part, None)  # the last call counts
                self._shapes[part] = output.shape

        return hook
