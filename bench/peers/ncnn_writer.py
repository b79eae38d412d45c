"""An exported student as an ncnn network (param and bin files).

Written here because ncnn's own converters do not know the Gather with which adaptive pooling is
exported; ncnn has that pooling as an operator of its own.
"""
import struct


def adaptive_size(places, kernel):
    """Cells of the adaptive pooling that a Gather with `places` prepares for a window of `kernel`."""
    cells, size = len(places) // kernel, max(places) + 1
    for i in range(cells):
        begin, end = i * size // cells, -(-(i + 1) * size // cells)
        if places[i * kernel:(i + 1) * kernel] != [min(begin + k, end - 1) for k in range(kernel)]:
            raise NotImplementedError("a Gather that is no adaptive pooling")
    return cells


class Writer:
    def __init__(self, graph):
        self.graph, self.layers, self.weights = graph, [], []
        self.readers = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        self.copies = {}  # value -> names of its copies not yet used

    def layer(self, kind, inputs, output, params=""):
        sources = [self.take(name) for name in inputs]
        self.layers.append(f"{kind} {output} {len(sources)} 1 {' '.join(sources)} {output} {params}")
        self.fan_out(output)

    def fan_out(self, value):
        """ncnn values have one reader; more get a Split."""
        count = sum(node.inputs.count(value) for node in self.readers.get(value, []))
        count += value in self.graph.outputs and count > 0
        if count > 1:
            names = [f"{value}_split{k}" for k in range(count)]
            self.layers.append(f"Split {value}_split 1 {count} {value} {' '.join(names)}")
            self.copies[value] = names

    def take(self, value):
        return self.copies[value].pop(0) if value in self.copies else value

    def window(self, node, pads):
        kh, kw = node.get("kernel_shape")
        sh, sw = node.get("strides", [1, 1])
        top, left, bottom, right = pads
        return kh, kw, sh, sw, top, left, bottom, right

    def conv(self, node, output, relu):
        weight = self.graph.constants[node.inputs[1]]
        kh, kw, sh, sw, top, left, bottom, right = self.window(node, node.get("pads", [0] * 4))
        dh, dw = node.get("dilations", [1, 1])
        groups, bias = node.get("group", 1), len(node.inputs) > 2
        params = (f"0={weight.dims[0]} 1={kw} 11={kh} 2={dw} 12={dh} 3={sw} 13={sh} 4={left} "
                  f"14={top} 15={right} 16={bottom} 5={int(bias)} 6={len(weight.values)}")
        if groups > 1:
            params += f" 7={groups}"
        if relu:
            params += " 9=1"
        self.weights += [struct.pack("<I", 0), weight.values.tobytes()]
        if bias:
            self.weights.append(self.graph.constants[node.inputs[2]].values.tobytes())
        kind = "ConvolutionDepthWise" if groups > 1 else "Convolution"
        self.layer(kind, node.inputs[:1], output, params)

    def max_pool(self, node, gathers):
        """A MaxPool, or the adaptive one that Gathers before it prepare."""
        source, kernel = node.inputs[0], list(node.get("kernel_shape"))
        cells = [-233, -233]  # this axis stays
        for gather in gathers:
            axis = gather.get("axis") - 2
            cells[axis] = adaptive_size(self.graph.constants[gather.inputs[1]].values, kernel[axis])
            kernel[axis] = 1
        if gathers:
            source = gathers[0].inputs[0]
            target = node.outputs[0] if kernel == [1, 1] else node.outputs[0] + ".cells"
            self.layer("Pooling", [source], target, f"0=0 7=1 8={cells[1]} 18={cells[0]}")
            if kernel == [1, 1]:
                return
            source = target
        top, left, bottom, right = node.get("pads", [0] * 4)
        sh, sw = kernel if gathers else node.get("strides")
        self.layer("Pooling", [source], node.outputs[0],
                   f"0=0 1={kernel[1]} 11={kernel[0]} 2={sw} 12={sh} 3={left} 13={top} 14={right} "
                   f"15={bottom} 5=1")

    def slice(self, node):
        constants = [self.graph.constants[name].values for name in node.inputs[1:]]
        starts, ends, axes = constants[:3]
        if len(constants) > 3 and constants[3] != [1] * len(axes):
            raise NotImplementedError("a Slice in steps has no ncnn form in bench/peers")
        lists = [(9, starts), (10, ends), (11, [a - 1 for a in axes])]
        params = " ".join(f"-233{k:02d}={len(v)},{','.join(map(str, v))}" for k, v in lists)
        self.layer("Crop", node.inputs[:1], node.outputs[0], params)

    def write(self, param, weights):
        self.layers.append(f"Input {self.graph.inputs[0]} 0 1 {self.graph.inputs[0]}")
        self.fan_out(self.graph.inputs[0])
        fused, gathers = set(), {}
        for node in self.graph.nodes:
            op, output = node.op, node.outputs[0]
            if id(node) in fused:
                continue
            if op == "Conv":
                readers = self.readers.get(output, [])
                relu = len(readers) == 1 and readers[0].op == "Relu"
                if relu:
                    fused.add(id(readers[0]))
                self.conv(node, readers[0].outputs[0] if relu else output, relu)
            elif op == "Gather":
                gathers[output] = gathers.get(node.inputs[0], []) + [node]
            elif op == "MaxPool":
                self.max_pool(node, gathers.get(node.inputs[0], []))
            elif op == "GlobalMaxPool":
                self.layer("Pooling", node.inputs, output, "0=0 4=1")
            elif op == "Relu":
                self.layer("ReLU", node.inputs, output)
            elif op == "Sigmoid":
                self.layer("Sigmoid", node.inputs, output)
            elif op == "Add":
                self.layer("BinaryOp", node.inputs, output, "0=0")
            elif op == "Concat" and node.get("axis") == 1:
                self.layer("Concat", node.inputs, output, "0=0")
            elif op == "Slice":
                self.slice(node)
            else:
                raise NotImplementedError(f"operator {op} has no ncnn form in bench/peers")
        values = sum(int(line.split()[3]) for line in self.layers)
        with open(param, "w", encoding="utf-8") as file:
            file.write(f"7767517\n{len(self.layers)} {values}\n" + "\n".join(self.layers) + "\n")
        with open(weights, "wb") as file:
            file.write(b"".join(self.weights))


def write(graph, param, weights):
    Writer(graph).write(param, weights)
