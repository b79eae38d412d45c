"""Reads the ONNX files that student-info writes, for peers without an ONNX importer of their own.

Only what those files hold: nodes, attributes, initialisers (f32 and whole numbers). No dependency,
so that it also works in an interpreter that has nothing but PyTorch.
"""
import struct
from array import array


def fields(data):
    """Fields of one protobuf message as {number: [values]}; nested messages stay bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        elif kind == 5:
            value, at = data[at:at + 4], at + 4
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        else:
            raise ValueError(f"field of unknown kind {kind}")
        found.setdefault(number, []).append(value)
    return found


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return (value - (1 << 64) if value >= 1 << 63 else value), at


def texts(values):
    return [bytes(v).decode() for v in values or []]


class Tensor:
    """dims, and values as array('f'), or a list of whole numbers."""

    def __init__(self, message):
        f = fields(message)
        self.dims = list(f.get(1, []))
        kind, raw = f[2][0], bytes(f.get(9, [b""])[0])
        code = {1: "f", 2: "B", 3: "b", 6: "i", 7: "q"}.get(kind)
        if code is None:
            raise ValueError(f"constant of type {kind}")
        values = array(code)
        values.frombytes(raw)
        self.values = values if kind == 1 else values.tolist()


class Node:
    def __init__(self, message):
        f = fields(message)
        self.inputs, self.outputs = texts(f.get(1)), texts(f.get(2))
        self.op = texts(f[4])[0]
        self.attributes = {}
        for item in f.get(5, []):
            a = fields(item)
            name = texts(a[1])[0]
            if 8 in a:
                self.attributes[name] = list(a[8])
            elif 3 in a:
                self.attributes[name] = a[3][0]
            elif 2 in a:
                self.attributes[name] = struct.unpack("<f", a[2][0])[0]
            elif 4 in a:
                self.attributes[name] = bytes(a[4][0]).decode()

    def get(self, name, default=None):
        return self.attributes.get(name, default)


class Graph:
    def __init__(self, path):
        with open(path, "rb") as file:
            model = fields(memoryview(file.read()))
        graph = fields(model[7][0])
        self.nodes = [Node(n) for n in graph.get(1, [])]
        self.constants = {}
        for message in graph.get(5, []):
            self.constants[texts(fields(message)[8])[0]] = Tensor(message)
        self.inputs = [texts(fields(i)[1])[0] for i in graph.get(11, [])]
        self.outputs = [texts(fields(o)[1])[0] for o in graph.get(12, [])]
