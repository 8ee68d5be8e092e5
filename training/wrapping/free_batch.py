"""A graph that was exported for one batch size, made to take any."""

import onnx
from onnx import numpy_helper

from training.wrapping.original import Original


def with_free_batch(original: Original) -> onnx.ModelProto:
    """Return a copy of the graph that declares no batch size.

    Where images are reshaped to a constant shape that begins with the old batch size, that becomes
    free. Nothing else is changed, so a graph that has the batch size elsewhere, as in its weights,
    still fails: the caller holds the answers against the original's.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    graph = model.graph
    # What was inferred for the old size would contradict the new one.
    del graph.value_info[:]
    for port in (*graph.input, *graph.output):
        if port.name in {original.takes, original.gives}:
            port.type.tensor_type.shape.dim[0].dim_param = "n"
    batch = original.shape[0]
    if batch is not None:
        _free_reshapes(graph, original.takes, batch)
    return model


def _free_reshapes(graph: onnx.GraphProto, takes: str, batch: int) -> None:
    shapes = _constants(graph)
    of_images = {takes}
    freed = set()
    for node in graph.node:  # which come in the order of their use
        if of_images.isdisjoint(node.input):
            continue
        of_images.update(node.output)
        if node.op_type != "Reshape" or node.input[1] not in shapes:
            continue
        name = node.input[1]
        if name in freed or _free(shapes[name], batch):
            freed.add(name)
            # Else the 0 of a freed shape would be a size, not "as it came".
            kept = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    return constants


def _free(shape: onnx.TensorProto, batch: int) -> bool:
    """Free a constant shape that begins with the batch size; say whether it did."""
    sizes = numpy_helper.to_array(shape).copy()
    if len(sizes) < 2 or sizes[0] != batch:
        return False
    # -1 is worked out from the others; 0, where -1 is taken, is the size of what came in.
    sizes[0] = 0 if -1 in sizes else -1
    shape.CopyFrom(numpy_helper.from_array(sizes, shape.name))
    return True
