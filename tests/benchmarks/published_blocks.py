"""The blocks of small networks with the layers and the names of published ones."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

Layers = Mapping[str, nn.Module]
Block = Callable[[int, int, int], nn.Module]


class Named(nn.Module):
    """A module whose layers are given by name, and used by a forward function."""

    def __init__(self, forward: Callable[[Layers, Tensor], Tensor], layers: Layers) -> None:
        super().__init__()
        self._forward = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(dict(self.named_children()), x)


def wrapped(name: str, layer: nn.Module) -> nn.Module:
    return Named(lambda layers, x: layers[name](x), {name: layer})


def conv(inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)


def same(x: Tensor, stride: int) -> Tensor:
    return nn.functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


def pre_act_block(shortcut: str, *, activated: bool, only_for_channels: bool) -> Block:
    """A block of TRADES' or of the usual networks; `shortcut` is the name of its convolution."""

    def forward(layers: Layers, x: Tensor) -> Tensor:
        active = layers["bn1"](x).relu()
        y: Tensor = layers["conv2"](layers["bn2"](layers["conv1"](active)).relu())
        return y + (layers[shortcut](active if activated else x) if shortcut in layers else x)

    def build(inputs: int, outputs: int, stride: int) -> nn.Module:
        layers: dict[str, nn.Module] = {
            "bn1": nn.BatchNorm2d(inputs),
            "conv1": conv(inputs, outputs, 3, stride, 1),
            "bn2": nn.BatchNorm2d(outputs),
            "conv2": conv(outputs, outputs, 3, 1, 1),
        }
        if inputs != outputs or (stride != 1 and not only_for_channels):
            around = conv(inputs, outputs, 1, stride)
            layers[shortcut] = around if only_for_channels else nn.Sequential(around)
        return Named(forward, layers)

    return build


def dm_wide_block(inputs: int, outputs: int, stride: int) -> nn.Module:
    def forward(layers: Layers, x: Tensor) -> Tensor:
        active = nn.functional.silu(layers["batchnorm_0"](x))
        y = nn.functional.silu(layers["batchnorm_1"](layers["conv_0"](same(active, stride))))
        residual: Tensor = layers["conv_1"](y)
        return residual + (layers["shortcut"](active) if "shortcut" in layers else x)

    layers: dict[str, nn.Module] = {
        "batchnorm_0": nn.BatchNorm2d(inputs),
        "conv_0": conv(inputs, outputs, 3, stride),
        "batchnorm_1": nn.BatchNorm2d(outputs),
        "conv_1": conv(outputs, outputs, 3, 1, 1),
    }
    if inputs != outputs:
        layers["shortcut"] = conv(inputs, outputs, 1, stride)
    return Named(forward, layers)


def dm_preact_block(inputs: int, outputs: int, stride: int) -> nn.Module:
    def forward(layers: Layers, x: Tensor) -> Tensor:
        active = nn.functional.silu(layers["batchnorm_0"](x))
        y = layers["batchnorm_1"](layers["conv_2d_1"](same(active, stride)))
        residual: Tensor = layers["conv_2d_2"](same(nn.functional.silu(y), 1))
        return residual + (layers["shortcut"](same(x, stride)) if "shortcut" in layers else x)

    layers: dict[str, nn.Module] = {
        "batchnorm_0": nn.BatchNorm2d(inputs),
        "conv_2d_1": conv(inputs, outputs, 3, stride),
        "batchnorm_1": nn.BatchNorm2d(outputs),
        "conv_2d_2": conv(outputs, outputs, 3),
    }
    if stride != 1 or inputs != outputs:
        layers["shortcut"] = conv(inputs, outputs, 3, stride)
    return Named(forward, layers)


def plain_block(*, norm: bool) -> Block:
    def forward(layers: Layers, x: Tensor) -> Tensor:
        y = layers["conv1"](x)
        y = layers["conv2"]((layers["bn1"](y) if norm else y).relu())
        y = layers["bn2"](y) if norm else y
        total: Tensor = y + layers["shortcut"](x)
        return total.relu()

    def build(inputs: int, outputs: int, stride: int) -> nn.Module:
        around = nn.Sequential()
        if stride != 1 or inputs != outputs:
            around.append(nn.Conv2d(inputs, outputs, 1, stride, bias=not norm))
            if norm:
                around.append(nn.BatchNorm2d(outputs))
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not norm),
            "conv2": nn.Conv2d(outputs, outputs, 3, 1, 1, bias=not norm),
            "shortcut": around,
        }
        norms = {name: nn.BatchNorm2d(outputs) for name in ("bn1", "bn2") if norm}
        return Named(forward, layers | norms)

    return build
