"""An exported student as a PyTorch module: a small interpreter over the ONNX graph, to be traced."""
import torch
import torch.nn.functional as F



def tensor_of(constant):
    kind = torch.float32 if not isinstance(constant.values, list) else torch.int64
    values = torch.tensor(constant.values.tolist() if kind == torch.float32 else constant.values,
                          dtype=kind)
    return values.reshape(constant.dims)


def pair_padding(x, pads, value):
    """ONNX pads [top, left, bottom, right] where both sides are alike, else padded beforehand."""
    if not pads:
        return x, 0
    top, left, bottom, right = pads
    if top == bottom and left == right:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=value), 0


class Interpreter(torch.nn.Module):
    def __init__(self, graph, outputs):
        super().__init__()
        self.graph, self.names = graph, outputs
        self.constants = {name: tensor_of(c) for name, c in graph.constants.items()}
        for k, (name, value) in enumerate(self.constants.items()):
            if value.dtype == torch.float32:
                self.register_parameter(f"p{k}", torch.nn.Parameter(value, requires_grad=False))
            else:
                self.register_buffer(f"p{k}", value)
            self.constants[name] = getattr(self, f"p{k}")

    def forward(self, frames):
        values = dict(self.constants)
        values[self.graph.inputs[0]] = frames
        for node in self.graph.nodes:
            inputs = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = self.apply_node(node, inputs)
        return tuple(values[name] for name in self.names)

    def apply_node(self, node, x):
        op = node.op
        if op == "Conv":
            src, padding = pair_padding(x[0], node.get("pads"), 0.0)
            return F.conv2d(src, x[1], x[2] if len(x) > 2 else None, node.get("strides", [1, 1]),
                            padding, node.get("dilations", [1, 1]), node.get("group", 1))
        if op == "MaxPool":
            src, padding = pair_padding(x[0], node.get("pads"), float("-inf"))
            return F.max_pool2d(src, node.get("kernel_shape"), node.get("strides"), padding)
        if op == "Gather":
            return x[0].index_select(node.get("axis", 0), x[1])
        if op == "GlobalMaxPool":
            return x[0].amax((2, 3), keepdim=True)
        if op == "GlobalAveragePool":
            return x[0].mean((2, 3), keepdim=True)
        if op == "Slice":
            starts, ends, axes = (c.tolist() for c in x[1:4])
            steps = x[4].tolist() if len(x) > 4 else [1] * len(axes)
            index = [slice(None)] * x[0].dim()
            for start, end, axis, step in zip(starts, ends, axes, steps):
                index[axis] = slice(start, end, step)
            return x[0][tuple(index)]
        if op == "Concat":
            return torch.cat(x, node.get("axis"))
        if op == "Clip":
            return x[0].clamp(float(x[1]), float(x[2]))
        if op == "Reshape":
            return x[0].reshape([x[0].shape[k] if size == 0 else size
                                 for k, size in enumerate(x[1].tolist())])
        if op == "Transpose":
            return x[0].permute(node.get("perm"))
        if op == "Softmax":
            return x[0].softmax(node.get("axis"))
        if op == "LayerNormalization":
            return F.layer_norm(x[0], x[1].shape, x[1], x[2], node.get("epsilon"))
        if op == "Flatten":
            return x[0].flatten(node.get("axis", 1))
        if op == "Gemm":
            return F.linear(x[0], x[1], x[2] if len(x) > 2 else None)
        simple = {"Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh,
                  "Identity": lambda a: a, "Add": torch.add, "Mul": torch.mul,
                  "Sum": lambda *a: sum(a), "MatMul": torch.matmul, "Gelu": F.gelu}
        if op in simple:
            return simple[op](*x)
        raise NotImplementedError(f"operator {op} has no PyTorch form in bench/peers")


def build(graph, outputs):
    return Interpreter(graph, outputs)
