"""Files of bytes that `fuzz_inputs` attacks: clips, digits, streams, checkpoints, codecs.

An input is either refused, with an error of the stated kind whose message is one line, or accepted.
Then what was read is compared with what the bytes hold, by another route where there is one.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import warnings
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np

from benchmarks.fuzz_mutations import changed_bytes, changed_value
from rdp.codec.bitstream import DIGEST_BYTES, CorruptStream, _digest

MOST_SAMPLES = 1 << 16  # that a stream may declare


class Wrong(Exception):
    """An input was accepted and gave something else than it holds, or a message of many lines."""


class Family(ABC):
    """Hostile inputs of one kind.

    Parameters
    ----------
    folder : Path
        Where files are written.
    """

    refusal: tuple[type[Exception], ...] = (ValueError,)
    limit = 256  # MiB that one input may take
    solves = False  # whether it asks compiled solvers

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Load what is compiled at its first use."""
        if self.solves:
            compile_solvers()

    @abstractmethod
    def originals(self) -> list[Any]:
        """Return good inputs, which must be accepted."""

    @abstractmethod
    def changed(self, rng: Random) -> Any:
        """Return a hostile input."""

    @abstractmethod
    def read(self, given: Any) -> None:
        """Read an input as users do; Wrong if the outcome is."""

    def accepts(self, given: Any) -> bool:
        """Return whether an input is accepted; other errors than those of refusal are passed on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.read(given)
            except self.refusal as error:
                if "\n" in str(error) or len(str(error)) > 1000:
                    raise Wrong(f"message of {len(str(error))} characters: {error!s:.80}") from None
                return False
        return True

    def file(self, name: str, content: bytes) -> Path:
        """Write a file and return its path."""
        path = self.folder / name
        path.write_bytes(content)
        return path


def compile_solvers() -> None:
    """Compile all kernels, or load them: else others stand in, and some input pays for it."""
    from solvers.methods.waiting import warm_up

    for _ in warm_up():
        pass


class Clips(Family):
    """Files that `rdp fit` reads: containers, pictures, arrays."""

    limit = 2048 + 256  # MiB: the stated limit of the reader, and FFmpeg
    KINDS: ClassVar[dict[str, tuple[str, str]]] = {
        "a.avi": ("ffv1", "gray"),
        "b.avi": ("mjpeg", "yuvj420p"),
        "c.avi": ("png", "gray"),
        "a.gif": ("gif", "gray"),
        "a.mkv": ("ffv1", "gray"),
        "a.mp4": ("mpeg4", "yuv420p"),
        "a.apng": ("apng", "gray"),
        "a.y4m": ("rawvideo", "yuv420p"),
        "a.asf": ("mpeg4", "yuv420p"),
        "a.ismv": ("mpeg4", "yuv420p"),
        "a.mxf": ("mpeg2video", "yuv420p"),
        "a.swf": ("mjpeg", "yuvj420p"),
    }
    # In these the last bytes are no frames, so that a cut may leave all of them.
    TAILS = ("a.mp4", "a.apng", "a.asf", "a.ismv", "a.mxf")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.frames = np.random.default_rng(0).integers(0, 256, (4, 16, 24), dtype=np.uint8)
        self.good = {name: self._video(name, *kind) for name, kind in self.KINDS.items()}
        for name, array in (("a.npy", self.frames), ("b.npy", self.frames / 255)):
            file = io.BytesIO()
            np.save(file, array)
            self.good[name] = file.getvalue()

    def _video(self, name: str, codec: str, kind: str) -> bytes:
        import av

        path = self.folder / f"good-{name}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 16, 24, kind
            for picture in self.frames:
                frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=kind)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()

    def originals(self) -> list[Any]:
        """Return one file of each kind."""
        return [(name, "", content) for name, content in self.good.items()]

    def changed(self, rng: Random) -> Any:
        """Return a file with changed bytes."""
        name = rng.choice(list(self.good))
        if name == "a.apng" and rng.random() < 0.2:
            return name, "texts", self._with_texts(rng)
        return name, *changed_bytes(rng, self.good[name])

    def _with_texts(self, rng: Random) -> bytes:
        """Return a picture whose texts or colour profiles are large, but packed."""
        kind, count, mib = (rng.choice(of) for of in ((b"zTXt", b"iCCP"), (1, 3), (1, 64)))
        data = b"a\0\0" + zlib.compress(bytes(mib << 20), 1)
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        chunk = len(data).to_bytes(4, "big") + kind + data + check
        head = 8 + 25  # signature and sizes
        return self.good["a.apng"][:head] + count * chunk + self.good["a.apng"][head:]

    def read(self, given: Any) -> None:
        """Read a clip; what is accepted has luma in range, and a cut file all its frames."""
        from rdp.clip.read import read_luma

        name, change, content = given
        luma = read_luma(self.file(name, content))
        if luma.ndim != 3 or len(luma) < 2 or not np.isfinite(luma).all():
            raise Wrong(f"{name}: shape {luma.shape}")
        if luma.size and not (luma.min() >= 0 and luma.max() <= 255):
            raise Wrong(f"{name}: luma {luma.min()}..{luma.max()}")
        if change == "cut" and not (name in self.TAILS and len(luma) == len(self.frames)):
            raise Wrong(f"{name}: {len(luma)} frames of a file that was cut")
        if name.endswith(".npy"):
            stored = np.load(io.BytesIO(content))
            scale = 255.0 if stored.dtype.kind == "f" else 1.0
            expected = stored if stored.ndim == 3 else stored @ np.array([0.299, 0.587, 0.114])
            if not np.allclose(luma, scale * expected, atol=1e-9):
                raise Wrong(f"{name}: other values than numpy reads")


class Idx(Family):
    """IDX files of digits, raw and compressed."""

    limit = 4 * 256

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
        self.raw = struct.pack(">HBB3I", 0, 8, 3, *images.shape) + images.tobytes()

    def originals(self) -> list[Any]:
        """Return the two files."""
        return [("a", self.raw), ("a.gz", gzip.compress(self.raw, mtime=0))]

    def changed(self, rng: Random) -> Any:
        """Return a changed raw or compressed file, or a compressed file of a changed raw one."""
        kind = rng.randrange(4)
        if kind == 0:
            return "a.gz", changed_bytes(rng, gzip.compress(self.raw, mtime=0))[1]
        raw = changed_bytes(rng, self.raw)[1]
        if kind == 1:
            return "a", raw
        raw += bytes(rng.choice((0, 0, 1 << 20, 1 << 24)))
        return "a.gz", gzip.compress(raw, 1, mtime=0)

    def read(self, given: Any) -> None:
        """Read a file; what is accepted is what stands after the header."""
        from neural.datasets.moving_digits import read_idx

        name, content = given
        found = read_idx(self.file(name, content))
        raw = content if name == "a" else gzip.decompress(content)
        axes = raw[3]
        shape = struct.unpack_from(f">{axes}I", raw, 4)
        if found.shape != shape or found.tobytes() != raw[4 + 4 * axes :]:
            raise Wrong(f"shape {found.shape}, declared {shape}")


class Streams(Family):
    """Streams of the constructive codec: any change is noticed; a forged digest does no harm."""

    refusal = (CorruptStream,)

    def __init__(self, folder: Path) -> None:
        from rdp import GaussMarkov
        from rdp.codec.dithered import DitheredCodec

        super().__init__(folder)
        rng = np.random.default_rng(0)
        self.good = []
        for grid, modes in (("Z", 0), ("E8", 0), ("BW16", 0), ("Z", 2)):
            sigma = np.ones((3, modes)) if modes else np.ones(3)
            source = GaussMarkov(sigma, np.full((2, modes) if modes else 2, 0.8))
            rates = np.full(sigma.shape, 1.5)
            codec = DitheredCodec.at_rates(source, rates, grid)
            self.good.append(codec.encode(rng.normal(size=(20, *sigma.shape)), 3))

    def originals(self) -> list[Any]:
        """Return one stream of each lattice."""
        return list(self.good)

    def changed(self, rng: Random) -> Any:
        """Return a damaged stream, or a changed one with a digest that fits."""
        good = rng.choice(self.good)
        if rng.random() < 0.5:
            return changed_bytes(rng, good)[1]
        body = changed_bytes(rng, good[:-DIGEST_BYTES])[1]
        return body + _digest(body)

    def read(self, given: Any) -> None:
        """Read a stream and decode it for all losses."""
        from rdp.codec.dithered import read

        message = read(given, MOST_SAMPLES)
        for plf in ("MMSE", "FMD", "JD", "SA"):
            if not np.isfinite(message.decode(plf)).all():
                raise Wrong(f"{plf}: NaN or inf")


class NeuralStreams(Streams):
    """Streams of a trained codec."""

    def __init__(self, folder: Path) -> None:
        Family.__init__(self, folder)
        self.codec, x = small_codec()
        self.good = [self.codec.encode(x, 3)]

    def read(self, given: Any) -> None:
        """Read a stream and decode it."""
        frames = self.codec.read(given, MOST_SAMPLES).decode("MMSE")
        if not bool(frames.isfinite().all()):
            raise Wrong("NaN or inf")


TASK: dict[str, Any] = {
    "source": {"sigma": [1.0, 2.0], "rho": [0.8]},
    "codec": {"block": 2, "latents": 2, "hidden": 8},
    "critic": {"hidden": 8},
}


def small_codec() -> tuple[Any, Any]:
    """Return an untrained codec of blocks, with tables, and source frames for it."""
    import torch

    from neural.tasks.blocks import BlockTask

    task = BlockTask(**TASK)
    torch.manual_seed(0)
    codec = task.make_codec((0.7, 0.9))
    codec.tabulate()
    return codec, task.batch(torch.Generator().manual_seed(8), 20)


class SweepCheckpoints(Family):
    """Checkpoints of a sweep: what is read is what was written, or nothing."""

    DIGEST = bytes(range(32))

    def __init__(self, folder: Path) -> None:
        from solvers._checkpoint import Checkpoint

        super().__init__(folder)
        rng = np.random.default_rng(0)
        self.chunks = {index: rng.normal(size=7) for index in (3, 0, 7, 1)}
        path = folder / "good-sweep"
        path.unlink(missing_ok=True)
        checkpoint = Checkpoint(path, self.DIGEST)
        for index, values in self.chunks.items():
            checkpoint.add(index, values)
        self.good = path.read_bytes()

    def originals(self) -> list[Any]:
        """Return the checkpoint."""
        return [self.good]

    def changed(self, rng: Random) -> Any:
        """Return a damaged checkpoint."""
        return changed_bytes(rng, self.good)[1]

    def read(self, given: Any) -> None:
        """Open a checkpoint, and go on with it."""
        from solvers._checkpoint import Checkpoint

        done = Checkpoint(self.file("sweep", given), self.DIGEST).done
        if not done.keys() <= self.chunks.keys():
            raise Wrong(f"chunks {sorted(done)}")
        if not all(np.array_equal(done[index], self.chunks[index]) for index in done):
            raise Wrong("other values than were written")


class TrainingCheckpoints(Family):
    """Checkpoints of a training: damaged files, and files of other content with a good digest."""

    def __init__(self, folder: Path) -> None:
        from neural.training.loop import Run
        from neural.training.stage import Stage

        super().__init__(folder)
        self.codec, _ = small_codec()
        self.stage = Stage("mmse", steps=4, batch=4, rates=(0.7, 0.9))
        self.make = lambda: Run(self.stage, small_codec()[0], _no_critic, _cpu())
        path = folder / "good-training.pt"
        self.make().save(path)
        self.good = path.read_bytes()

    def originals(self) -> list[Any]:
        """Return the checkpoint."""
        return [self.good]

    def changed(self, rng: Random) -> Any:
        """Return a damaged checkpoint, or one of other content."""
        from neural.training.checkpoint import load, save, tensors
        from neural.training.seal import sealed

        kind = rng.randrange(3)
        if kind == 0:
            return changed_bytes(rng, self.good)[1]
        body_size = len(self.good) - len(sealed(b""))
        if kind == 1:
            return sealed(changed_bytes(rng, self.good[:body_size])[1])
        path = self.file("made.pt", self.good)
        state = load(path)
        values = [tensor for _, tensor in tensors(state)]
        values += [None, -1, 10**12, "x", [], {}, math.nan]
        save(path, changed_value(rng, state, tuple(values)))
        return path.read_bytes()

    def read(self, given: Any) -> None:
        """Resume from a checkpoint."""
        run = self.make()
        run.resume(self.file("training.pt", given))
        if not 0 <= run.step <= self.stage.steps:
            raise Wrong(f"step {run.step}")


class Codecs(Family):
    """Exported codecs: damaged files, and files of other content with a good digest."""

    limit = 512

    def __init__(self, folder: Path) -> None:
        from neural.model_files import export_codec

        super().__init__(folder)
        codec, _ = small_codec()
        path = folder / "good-codec.pt"
        export_codec(path, codec, "blocks", TASK, (0.7, 0.9))
        self.good = path.read_bytes()

    def originals(self) -> list[Any]:
        """Return the codec."""
        return [self.good]

    def changed(self, rng: Random) -> Any:
        """Return a damaged file, or one of other content."""
        from neural.training.checkpoint import load, save
        from neural.training.seal import sealed

        kind = rng.randrange(3)
        if kind == 0:
            return changed_bytes(rng, self.good)[1]
        if kind == 1:
            return sealed(changed_bytes(rng, self.good[: len(self.good) - len(sealed(b""))])[1])
        path = self.file("made.pt", self.good)
        state = load(path)
        if rng.random() < 0.5:
            state["options"] = json.dumps(changed_value(rng, json.loads(state["options"])))
            save(path, state)
        else:
            save(path, changed_value(rng, state))
        return path.read_bytes()

    def read(self, given: Any) -> None:
        """Load a codec and use it."""
        from neural.model_files import load_codec
        from neural.training.checkpoint import not_finite

        codec = load_codec(self.file("codec.pt", given))
        if not_finite(codec.state_dict()) is not None:
            raise Wrong("NaN or inf in the parameters")


def _no_critic(frames: int) -> Any:
    raise AssertionError("no critic is needed")


def _cpu() -> Any:
    import torch

    return torch.device("cpu")
