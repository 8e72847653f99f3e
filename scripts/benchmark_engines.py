"""Time one of our networks beside ONNX Runtime and OpenVINO running the same weights.

    pip install 'vidperc[benchmark]'
    python scripts/benchmark_engines.py [-m fast-x2] [--width 640 --height 360] [--frames 60] [--rounds 3]

Each engine makes frames of luma, base and all, in one process per core with one thread each, as vidperc's workers do,
and in one process with a thread per core; all ways take turns, and the best round of each is printed, with the largest
difference from float32 in 8-bit codes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINES = ("vidperc bfloat16", "vidperc float32", "OpenVINO", "ONNX Runtime")
Run = Callable[[], NDArray[np.float32]]


def luma(width: int, height: int) -> NDArray[np.float32]:
    """A picture with edges and texture, (1,1,h,w) in [0,1]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.sin(x / 3 + y / 17) * np.sin(y / 5) + np.sign(np.sin((x + 2 * y) / 40))
    return (0.5 + 0.2 * waves)[None, None].astype(np.float32)


def as_onnx(model: str, width: int, height: int) -> bytes:
    """The network as an ONNX graph: the same convolutions, DepthToSpace, and bicubic added."""
    onnx: Any = import_module("onnx")  # an extra: whoever only checks types need not have it
    helper, floats, as_tensor = onnx.helper, onnx.TensorProto.FLOAT, onnx.numpy_helper.from_array
    from vidperc.models.weights import LumaNetwork, read_network
    from vidperc.models.zoo import weights_path

    network = read_network(weights_path(model))
    assert isinstance(network, LumaNetwork), "wanted a network of ours"
    scale, last = network.shape.scale, len(network.shape.widths()) - 1
    values = {name: tensor.numpy() for name, tensor in network.weights.items()}
    values |= {"half": np.array(0.5, np.float32), "scales": np.array([1, 1, scale, scale], np.float32)}
    nodes: list[Any] = [helper.make_node("Sub", ["luma", "half"], ["x0"])]
    for place in range(last + 1):
        made = f"c{place}" if place < last else "details"
        inputs = [f"x{place}", f"{place}.weight", f"{place}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [made], pads=[1, 1, 1, 1]))
        if place < last:
            nodes.append(helper.make_node("Relu", [made], [f"x{place + 1}"]))
    how: Any = {"mode": "cubic", "cubic_coeff_a": -0.5, "coordinate_transformation_mode": "half_pixel"}
    nodes += [
        helper.make_node("DepthToSpace", ["details"], ["shuffled"], blocksize=scale, mode="CRD"),
        helper.make_node("Resize", ["luma", "", "scales"], ["base"], **how),
        helper.make_node("Add", ["base", "shuffled"], ["enlarged"]),
    ]
    graph = helper.make_graph(
        nodes,
        model,
        [helper.make_tensor_value_info("luma", floats, [1, 1, height, width])],
        [helper.make_tensor_value_info("enlarged", floats, [1, 1, height * scale, width * scale])],
        [as_tensor(value, name) for name, value in values.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(built)
    return built.SerializeToString()


def opened(engine: str, model: str, width: int, height: int, threads: int) -> Run:
    """The network in an engine, ready to make one frame again and again."""
    picture = luma(width, height)
    if engine == "OpenVINO":
        openvino: Any = import_module("openvino")
        core = openvino.Core()
        asked = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(core.read_model(as_onnx(model, width, height)), "CPU", asked)
        request = compiled.create_infer_request()
        return lambda: np.array(next(iter(request.infer({0: picture}).values())))
    if engine == "ONNX Runtime":
        onnxruntime: Any = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(as_onnx(model, width, height), options, ["CPUExecutionProvider"])
        return lambda: session.run(None, {"luma": picture})[0]
    import torch

    from vidperc.models.load import load_model
    from vidperc.placement import Placement

    torch.set_num_threads(threads)
    precision: Any = engine.removeprefix("vidperc ")
    network, frame = load_model(model, None, Placement(precision=precision, threads=threads)), torch.from_numpy(picture)
    return lambda: network(frame).numpy()


_start: Any = None


def _share(barrier: Any) -> None:
    global _start
    _start = barrier


def made(engine: str, model: str, width: int, height: int, threads: int, frames: int) -> tuple[float, float]:
    """When this process began and ended making its frames, on a clock that all processes share."""
    run = opened(engine, model, width, height, threads)
    for _ in range(3):
        run()
    _start.wait(300)
    began = perf_counter()
    for _ in range(frames):
        run()
    return began, perf_counter()


def frames_per_second(engine: str, processes: int, threads: int, asked: argparse.Namespace) -> float:
    """Over all processes, from the first one's beginning to the last one's end."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_share, initargs=(barrier,)) as pool:
        share = asked.frames // processes
        work = [
            pool.submit(made, engine, asked.model, asked.width, asked.height, threads, share) for _ in range(processes)
        ]
        spans = [one.result() for one in work]
    return share * processes / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def difference(engine: str, asked: argparse.Namespace) -> float:
    """The largest difference from vidperc in float32, in 8-bit codes, away from the borders."""
    wanted = opened("vidperc float32", asked.model, asked.width, asked.height, 1)()
    found = opened(engine, asked.model, asked.width, asked.height, 1)()
    return float(np.abs(found - wanted)[..., 8:-8, 8:-8].max() * 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="fast-x2", help="a network of ours")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    from vidperc.engine.plan import usable_cores
    from vidperc.engine.pool import KEPT_HEAP

    cores = usable_cores()
    os.environ.update({"OMP_WAIT_POLICY": "PASSIVE", **KEPT_HEAP})
    ways = list(product(ENGINES, [(cores, 1), (1, cores)] if cores > 1 else [(1, 1)]))
    best = dict.fromkeys(ways, 0.0)
    for place in range(asked.rounds):
        for engine, (processes, threads) in ways[:: -1 if place % 2 else 1]:
            rate = frames_per_second(engine, processes, threads, asked)
            best[engine, (processes, threads)] = max(best[engine, (processes, threads)], rate)
    print(f"{asked.model}, {asked.width}x{asked.height}, {cores} cores, best of {asked.rounds} rounds")
    print(f"{'engine':20}{'processes':>10}{'threads':>9}{'frames/s':>10}{'off by':>8}")
    for (engine, (processes, threads)), rate in best.items():
        print(f"{engine:20}{processes:10}{threads:9}{rate:10.2f}{difference(engine, asked):8.2f}")


if __name__ == "__main__":
    main()
