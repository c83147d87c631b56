"""The transform codec against the curves that the statistics of a clip predict.

The sample clip, and a clip drawn from the model fitted to it: there only the codec costs anything,
on the real clip the model misfits too. PSNR of each decoder at the rate of the file, and dB below
that of the best encoder and decoder of the model at the same mean rate and the same bits in the
first frame. Every decoder reads the same bytes. Bits above the curve: what the file has more than
the MMSE curve needs for the same error, for each mode that is sent.
"""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
import typer
from scipy.fft import idctn

from benchmarks.report import report
from rdp.clip import fit_luma, read_luma, sample_clip
from rdp.clip.model import ClipFit
from rdp.clip_codec import ClipStream, decode_clip, decode_frames, encode_clip
from rdp.clip_codec.recursion import Recursion
from rdp.clip_codec.stream import _opened
from rdp.codec.bitstream import CorruptStream, Decoder
from rdp.perception import LOSSES
from solvers.methods.waterfilling import waterfill
from solvers.prediction import decibels, predict

Array = np.ndarray

RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
FRAMES = 132
SEED = 0
SHARES, PRECISION = (0.3, 1.7), 1e-3  # of the bits of a file, where the curve has its error


def clips(frames: int) -> dict[str, Array]:
    """Return the sample clip, in whole blocks, and a draw of its model."""
    luma = read_luma(sample_clip(), frames=frames)
    luma = np.pad(luma, [(0, 0), *((0, -side % 8) for side in luma.shape[1:])], "edge")
    fit = fit_luma(luma)
    rows, columns = (side // 8 for side in luma.shape[1:])
    source = fit.source(frames)
    used = np.flatnonzero(fit.sigma > 0)
    modes = np.zeros((frames, rows * columns, 64))
    modes[:, :, used] = source.sample(rows * columns, SEED).transpose(1, 0, 2)
    blocks = idctn(modes.reshape(frames, rows, columns, 8, 8), axes=(3, 4), norm="ortho")
    drawn = blocks.transpose(0, 1, 3, 2, 4).reshape(luma.shape) + luma.mean()
    return {"sample clip": luma, "draw of its model": drawn}


def measure(name: str, luma: Array, bpp: float) -> dict[str, object]:
    """Encode at one rate and decode under every loss."""
    start = time.perf_counter()
    stream = encode_clip(luma, bpp)
    encoding = time.perf_counter() - start
    fit, bits = fit_luma(luma), stream.frame_bits / luma[0].size
    source = fit.source(len(luma))
    found = predict(source, [bits.mean()], fit.modes, float(bits[0] / bits[1:].mean()))
    row: dict[str, object] = {"clip": name, "bits per pixel": stream.bits_per_pixel}
    for plf in LOSSES:
        start = time.perf_counter()
        decoded = np.stack(list(decode_frames(stream.data, plf, clip=name == "sample clip")))
        decoding = time.perf_counter() - start
        reached = float(decibels(((luma - decoded) ** 2).mean()))
        row[f"{plf} (dB)"] = reached
        if plf == "MMSE":
            row["bits above the curve"] = above(
                stream, fit, bits, float(((luma - decoded) ** 2).mean())
            )
        row[f"{plf} below the curve"] = float(decibels(found.distortion[plf].mean())) - reached
    return {**row, "encode (s)": encoding, "decode (s)": decoding}


def above(stream: ClipStream, fit: ClipFit, bits: Array, error: float) -> float:
    """Bits of a sent mode, a block and frame, above those of the MMSE curve at the same error."""
    source = fit.source(len(bits))
    low, high = SHARES
    while high - low > PRECISION:
        share = (low + high) / 2
        least = waterfill(source, bits * share * fit.modes, "MMSE").distortion.mean() / fit.modes
        low, high = (share, high) if least > error else (low, share)
    header, chunks = _opened(stream.data)
    recursion = Recursion(header.model)
    sent = [recursion.next(Decoder(chunk).number()).sent.sum() for chunk in chunks]
    return float((1 - high) * bits.mean() * fit.modes / np.mean(sent))


def damaged(luma: Array, count: int) -> int:
    """Return how many of some damaged streams were decoded: changed bits, cuts and insertions."""
    data = encode_clip(luma[:8], 0.1).data
    rng, decoded = np.random.default_rng(SEED), 0
    for number in range(count):
        place = int(rng.integers(len(data)))
        changed = bytearray(data)
        if number % 3 == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif number % 3 == 1:
            del changed[place : place + int(rng.integers(1, 50))]
        else:
            changed[place:place] = rng.bytes(int(rng.integers(1, 50)))
        try:
            decode_clip(bytes(changed))
            decoded += 1
        except CorruptStream:
            pass
    return decoded


def main(
    frames: Annotated[int, typer.Option(help="Frames of each clip.")] = FRAMES,
    streams: Annotated[int, typer.Option(help="Damaged streams.")] = 1000,
) -> None:
    """Measure both clips at all rates, and the damaged streams."""
    both = clips(frames)
    rows = [measure(name, luma, bpp) for name, luma in both.items() for bpp in RATES]
    report("clip_codec", rows, ("scipy", "constriction"))
    found = damaged(both["sample clip"], streams)
    typer.echo(f"{found} of {streams} damaged streams were decoded")
    raise typer.Exit(int(found > 0))


if __name__ == "__main__":
    typer.run(main)
