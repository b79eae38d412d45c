#!/usr/bin/env python3
"""Serves one peer runtime to `student-bench peers`: a command a line, words separated by tabs.

  run.py list            one line a peer: "peer NAME PRECISION TEXT" or "skip NAME PRECISION REASON"
  run.py NAME            serves the peer:
    load THREADS F32.onnx U8.onnx C32.onnx C8.onnx -> ok TEXT
                                       (version and settings; with f32 and with u8 input; C: the
                                        same with convolutions rounded before a residual is added)
    frames FILE COUNT H W O0 O1 O2 MEAN SCALE -> ok N       (u8 planes; N inputs of frames t+O)
    check N FILE                       -> ok                (maps of the first N inputs, f32:
                                                             map16 256, map4 16, map1 1 each)
    run u8|f32 SECONDS                 -> timed N S         (N inputs to maps took S seconds)
    quit
  Anything that goes wrong is answered by "error REASON".

run u8 starts from the frames in memory, the input's conversion is timed; run f32 starts from one
f32 tensor made beforehand. Outputs are read into the caller's memory in both; the score's few
comparisons are left out, which favours the peer.
"""
import array
import importlib
import json
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source folder stays as it is
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
MAPS = ("map16", "map4", "map1")
SIZES = (256, 16, 1)


class Peer:
    """Inputs of a stream: three planes of `frames` each, counted cyclically."""

    def set_frames(self, path, count, height, width, offsets, mean, scale):
        with open(path, "rb") as file:
            self.bytes = bytearray(file.read())
        if len(self.bytes) != count * height * width:
            raise ValueError(f"{path} holds {len(self.bytes)} bytes, not {count} frames")
        self.height, self.width, self.mean, self.scale = height, width, mean, scale
        self.steps = [o - offsets[0] for o in offsets]
        self.count = count - self.steps[2]
        self.prepare()

    def check(self, count, path):
        with open(path, "wb") as file:
            for k in range(count):
                maps = self.maps_of(k)
                for values, size in zip(maps, SIZES):
                    values = array.array("f", values)
                    if len(values) != size:
                        raise ValueError(f"a map has {len(values)} values, expected {size}")
                    file.write(values.tobytes())

    def run(self, kind, seconds):
        step = self.step_u8 if kind == "u8" else self.step_f32
        done, now = 0, time.perf_counter()
        start, end = now, now + seconds
        while now < end:
            step(done % self.count)
            done += 1
            now = time.perf_counter()
        return done, now - start


class NumpyPeer(Peer):
    def prepare(self):
        import numpy as np
        self.np = np
        planes = np.frombuffer(self.bytes, np.uint8).reshape(-1, self.height, self.width)
        self.planes = planes
        self.u8 = np.zeros((1, 3, self.height, self.width), np.uint8)
        self.f32 = np.zeros((1, 3, self.height, self.width), np.float32)
        self.convert(0)
        self.fixed = self.f32.copy()

    def gather(self, k):
        for c, step in enumerate(self.steps):
            self.u8[0, c] = self.planes[k + step]

    def convert(self, k):
        """The conversion of a caller who writes numpy well: no temporaries."""
        for c, step in enumerate(self.steps):
            self.np.subtract(self.planes[k + step], self.mean, out=self.f32[0, c],
                             dtype=self.np.float32, casting="unsafe")
        if self.scale != 1:
            self.np.multiply(self.f32, self.np.float32(1 / self.scale), out=self.f32)

    def maps_of(self, k):
        return [self.np.asarray(m, self.np.float32).reshape(-1).tolist() for m in self.step_u8(k)]


class OnnxRuntime(NumpyPeer):
    def load(self, threads, f32, u8, c32, c8):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        make = lambda path: ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # It has no integer convolution with an f32 result, so it gets the form without one.
        self.session_f32, self.session_u8 = make(c32), make(c8)
        return (f"ONNX Runtime {ort.__version__}, CPU provider, {threads} intra-op threads, "
                "frames enter as u8 and are converted in the graph")

    def step_u8(self, k):
        self.gather(k)
        return self.session_u8.run(MAPS, {"frames": self.u8})

    def step_f32(self, k):
        return self.session_f32.run(MAPS, {"frames": self.fixed})


class OpenVino(NumpyPeer):
    def load(self, threads, f32, u8, c32, c8):
        import openvino as ov
        core = ov.Core()
        settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1",
                    "INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": "f32"}
        self.ov = ov
        self.requests = {}
        for kind, path in (("f32", f32), ("u8", u8)):
            compiled = core.compile_model(path, "CPU", settings)
            self.requests[kind] = compiled.create_infer_request()
        return (f"OpenVINO {ov.__version__.split('-')[0]}, latency hint, 1 stream, {threads} "
                "threads, floats f32; frames enter as u8 and are converted in the graph")

    def prepare(self):
        super().prepare()
        for kind, values in (("f32", self.fixed), ("u8", self.u8)):
            self.requests[kind].set_input_tensor(self.ov.Tensor(values, shared_memory=True))
        self.outputs = {kind: [request.get_tensor(name).data for name in MAPS]
                        for kind, request in self.requests.items()}

    def step_u8(self, k):
        self.gather(k)
        self.requests["u8"].infer()
        return self.outputs["u8"]

    def step_f32(self, k):
        self.requests["f32"].infer()
        return self.outputs["f32"]


class OpenCv(NumpyPeer):
    def load(self, threads, f32, u8, c32, c8):
        import cv2
        cv2.setNumThreads(threads)
        self.net = cv2.dnn.readNetFromONNX(f32)
        self.net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        return (f"OpenCV DNN {cv2.__version__}, {threads} threads, frames are converted by numpy")

    def forward(self, values):
        self.net.setInput(values, "frames")
        return self.net.forward(MAPS)

    def step_u8(self, k):
        self.convert(k)
        return self.forward(self.f32)

    def step_f32(self, k):
        return self.forward(self.fixed)


class Ncnn(NumpyPeer):
    def load(self, threads, f32, u8, c32, c8):
        import ncnn
        import ncnn_writer
        from onnx_reader import Graph
        self.ncnn = ncnn
        folder = tempfile.mkdtemp()
        param, weights = os.path.join(folder, "net.param"), os.path.join(folder, "net.bin")
        try:
            ncnn_writer.write(Graph(f32), param, weights)
            self.net = ncnn.Net()
            self.net.opt.num_threads = threads
            # Plain f32, as the other peers of that precision.
            for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic",
                         "use_bf16_storage", "use_bf16_packed"):
                if hasattr(self.net.opt, name):
                    setattr(self.net.opt, name, False)
            if self.net.load_param(param) != 0 or self.net.load_model(weights) != 0:
                raise RuntimeError("ncnn does not load the converted network")
        finally:
            for path in (param, weights):
                if os.path.exists(path):
                    os.remove(path)
            os.rmdir(folder)
        return (f"ncnn {ncnn.__version__}, {threads} threads, f32 storage; ONNX converted by "
                "bench/peers, frames are converted by numpy")

    def forward(self, values):
        extractor = self.net.create_extractor()
        extractor.input("frames", self.ncnn.Mat(values[0]))
        return [self.np.array(extractor.extract(name)[1]) for name in MAPS]

    def step_u8(self, k):
        self.convert(k)
        return self.forward(self.f32)

    def step_f32(self, k):
        return self.forward(self.fixed)


class Torch(Peer):
    def load(self, threads, f32, u8, c32, c8):
        import torch
        import torch_graph
        from onnx_reader import Graph
        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.module = torch_graph.build(Graph(f32), MAPS)
        return (f"PyTorch {torch.__version__}, {threads} threads, TorchScript frozen and optimised "
                "for inference; frames are converted by torch")

    def prepare(self):
        t = self.torch
        self.planes = t.frombuffer(self.bytes, dtype=t.uint8).view(-1, self.height, self.width)
        self.index = [t.tensor([k + s for s in self.steps]) for k in range(self.count)]
        with t.no_grad():
            self.fixed = self.convert(0)
            script = t.jit.freeze(t.jit.trace(self.module.eval(), self.fixed))
            self.script = t.jit.optimize_for_inference(script)
            for _ in range(3):  # the profiling executor's compilation
                self.script(self.fixed)

    def convert(self, k):
        planes = self.planes.index_select(0, self.index[k]).unsqueeze(0)
        return planes.to(self.torch.float32).sub_(self.mean).mul_(1 / self.scale)

    def maps_of(self, k):
        return [m.reshape(-1).tolist() for m in self.step_u8(k)]

    def step_u8(self, k):
        with self.torch.no_grad():
            return self.script(self.convert(k))

    def step_f32(self, k):
        with self.torch.no_grad():
            return self.script(self.fixed)


PEERS = {
    "ort-f32": (OnnxRuntime, "f32", "onnxruntime"),
    "ort-int8": (OnnxRuntime, "int8", "onnxruntime"),
    "openvino-f32": (OpenVino, "f32", "openvino"),
    "openvino-int8": (OpenVino, "int8", "openvino"),
    "torch-f32": (Torch, "f32", "torch"),
    "opencv-f32": (OpenCv, "f32", "cv2"),
    "ncnn-f32": (Ncnn, "f32", "ncnn"),
}


def records():
    """What bench/peers/setup wrote: {"MODULE": {"python": PATH} or {"missing": REASON}}."""
    path = os.environ.get("SACCADE_PEERS", "")
    if not path:
        return {}
    with open(os.path.join(path, "peers.json"), encoding="utf-8") as file:
        return json.load(file)


def list_peers():
    known = records()
    for name, (_, precision, module) in PEERS.items():
        record = known.get(module, {"missing": "not installed by bench/peers/setup"})
        if "missing" in record:
            print("skip", name, precision, record["missing"])
        else:
            print("peer", name, precision, module, record.get("version", ""))


def reply(text):
    sys.stdout.write(" ".join(text.split()) + "\n")
    sys.stdout.flush()


def answer(peer, words):
    command = words[0]
    if command == "load":
        return "ok " + peer.load(int(words[1]), *words[2:6])
    if command == "frames":
        count, height, width = map(int, words[2:5])
        peer.set_frames(words[1], count, height, width, list(map(int, words[5:8])),
                        float(words[8]), float(words[9]))
        return f"ok {peer.count}"
    if command == "check":
        peer.check(int(words[1]), words[2])
        return "ok"
    if command == "run" and words[1] in ("u8", "f32"):
        return "timed {} {:.9f}".format(*peer.run(words[1], float(words[2])))
    raise ValueError(f"unknown command {command}")


def serve(name):
    if name not in PEERS:
        sys.exit(f"run.py: no peer '{name}'; there are {', '.join(PEERS)}")
    make, _, module = PEERS[name]
    # A module may live in another interpreter than the virtual environment's.
    python = records().get(module, {}).get("python", sys.executable)
    if os.path.realpath(python) != os.path.realpath(sys.executable) or python != sys.executable:
        os.execv(python, [python, os.path.abspath(__file__), name])
    # Libraries that print must not disturb the protocol.
    protocol = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(protocol, "w")
    try:
        importlib.import_module(module)
        peer = make()
    except Exception as cause:  # a peer of any kind may fail in any way
        reply(f"error {type(cause).__name__}: {cause}")
        return
    for line in sys.stdin:
        words = line.rstrip("\n").split("\t")
        if words == ["quit"]:
            return
        try:
            reply(answer(peer, words))
        except Exception as cause:
            reply(f"error {type(cause).__name__}: {cause}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "list":
        list_peers()
    else:
        serve(sys.argv[1])
