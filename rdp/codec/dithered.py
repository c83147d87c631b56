r"""A constructive codec: entropy-coded dithered quantisation of the innovation.

Minimise the rate of each frame at given MMSE distortions :math:`m_t`, with real bytes. The codec
processes one frame after another, each for many independent sequences together:

.. math::
    e_t = X_t - a_t \tilde X_{t-1}, \qquad
    y_t = Q(e_t + d_t) - d_t = e_t + N_t, \qquad
    \tilde X_t = a_t \tilde X_{t-1} + \frac{v_t}{v_t + \sigma_t^2} y_t,

with dither :math:`d_t` from a seed that encoder and decoder share. :math:`N_t` is independent of
:math:`e_t`. The step is chosen such that its variance is
:math:`\sigma_t^2 = v_t m_t / (v_t - m_t)`, so the error of the linear estimate is exactly
:math:`m_t`. The rate :math:`I(e_t; e_t + N_t)` exceeds the MMSE curve
:math:`\frac12 \log_2(v_t / m_t)` by at most the gap of the lattice (`rdp.codec.lattices`).

One stream serves all decoders. The variables :math:`u_t = y_t / \sqrt{v_t + \sigma_t^2}` are white
and have unit variance. A decoder is a matrix, :math:`\hat X = K u`. The reconstruction has the
second moments of the optimal Gaussian scheme at zero perception loss. Its distribution is only
approximately Gaussian, because the noise is uniform over a Voronoi cell; the difference is largest
at low rates.

With `levels` the dither takes that many values only (:mod:`rdp.codec.limited_dither`): encoder and
decoder share log2(levels) bits a sample and no more, and the decoder adds private noise.

Zamir and Feder, "On universal quantization by randomized uniform/lattice quantizers", IEEE Trans.
Inf. Theory 38 (1992) (rate of dithered quantisation). Decoders derived in this project, for the
loss functions of Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rdp import _check
from rdp.codec import decoders
from rdp.codec.bitstream import (
    MAX_RANGE,
    CorruptStream,
    Decoder,
    Encoder,
    Reader,
    pack,
    unpack,
    varints,
)
from rdp.codec.code_length import code_lengths
from rdp.codec.lattice_coder import code_points
from rdp.codec.lattices import LATTICES, lattice
from rdp.codec.limited_dither import MAX_LEVELS, Quantiser, limited_quantiser
from rdp.codec.shared_randomness import (
    coarse_dither,
    decoder_noise,
    private_noise,
    uniform_dither,
)
from rdp.mmse import mmse_recursion
from rdp.perception import Perception
from rdp.source import GaussMarkov

Array = np.ndarray

KIND = 1  # of the container
MAX_RATE = 16.0  # bits per sample; more would need probabilities of over 24 bits
MAX_SAMPLES = 1 << 28  # values in one stream
READ_SAMPLES = 1 << 24  # values that `read` accepts unless it is told more: 128 MiB as float64
_NO_BITS = 1e-12  # a frame whose error would fall by less than this share gets no bits


@dataclass(frozen=True, eq=False)
class DitheredCodec:
    r"""Codec with given MMSE distortion at every frame.

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes, which are coded separately.
    mmse : (T,) array, or (T, d)
        Distortions :math:`m_t` of the MMSE decoder, :math:`0 < m_t \le v_t`; a frame with
        :math:`m_t = v_t` gets no bits. At most 16 bits per sample.
    lattice : {"Z", "E8", "BW16"}
        Lattice over the sequences; one of higher dimension is closer to the curve and slower.
    levels : int or None
        Number of values of the shared dither, 1..65536, for scalar frames and the lattice Z; 1 is
        no common randomness. None is no limit. The distortions hold exactly for Gaussian prediction
        errors then, so in the first frame; later errors are Gaussian but for quantisation noise.

    Raises
    ------
    ValueError
        Distortions of the wrong shape or out of range, an unknown lattice, or levels that do not go
        with the source, the lattice or the rate.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> codec = DitheredCodec.at_rates(source, [2.0, 2.0, 2.0], lattice="E8")
    >>> x = source.sample(16000, rng=0)
    >>> stream = codec.encode(x, seed=1)
    >>> message = codec.read(stream)
    >>> bool((message.rates - 2.0 < lattice("E8").gap + 0.05).all())
    True
    >>> bool(np.allclose(np.mean((x - message.decode("MMSE"))**2, axis=0), codec.mmse, rtol=0.1))
    True
    """

    source: GaussMarkov
    mmse: Array
    lattice: str = "Z"
    levels: int | None = None

    def __post_init__(self) -> None:
        """Validate the distortions against the source."""
        lattice(self.lattice)
        object.__setattr__(self, "mmse", _check.frozen(_check.positive("mmse", self.mmse)))
        if self.mmse.shape != self.source.sigma.shape:
            raise ValueError(
                f"mmse: expected shape {self.source.sigma.shape}, got {self.mmse.shape}"
            )
        v = self.prediction_error
        if (self.mmse > v * (1 + _NO_BITS)).any():
            worst = np.unravel_index((self.mmse - v).argmax(), v.shape)
            raise ValueError(
                f"mmse: expected at most {v[worst]:g} at frame {worst[0] + 1}, "
                f"got {self.mmse[worst]:g}"
            )
        if (self.mmse < v * 2.0 ** (-2 * MAX_RATE)).any():
            raise ValueError(
                f"mmse: expected rates of at most {MAX_RATE:g} bits per sample, got more"
            )
        if self.levels is not None:
            self._check_levels()

    def _check_levels(self) -> None:
        if _check.count("levels", self.levels) > MAX_LEVELS:
            raise ValueError(f"levels: expected at most {MAX_LEVELS}, got {self.levels}")
        if self.source.modes is not None or self.lattice != "Z":
            raise ValueError("levels: expected None for vector frames and lattices other than Z")
        self._quantisers  # noqa: B018  raises where no step fits

    @classmethod
    def at_rates(
        cls, source: GaussMarkov, rates: object, lattice: str = "Z", levels: int | None = None
    ) -> DitheredCodec:
        """Return the codec whose distortions are those of the MMSE curve at given rates.

        Parameters
        ----------
        source, lattice, levels : as for the class
        rates : (T,) array, or (T, d), 0 <= R <= 16
            Bits per sample on the MMSE curve; measured rates exceed them by at most the gap of the
            lattice.
        """
        return cls(source, mmse_recursion(source, rates).mmse, lattice, levels)

    @property
    def common_randomness(self) -> float:
        """Bits that encoder and decoder share for each sample; inf without a limit."""
        return np.inf if self.levels is None else float(np.log2(self.levels))

    @property
    def prediction_error(self) -> Array:
        """Variance v_t of the prediction error, which is quantised; shape of mmse."""
        return decoders.prediction_error(self.source, self.mmse)

    @property
    def noise(self) -> Array:
        """Variance of the quantisation noise per sample, shape of mmse; inf where rates are 0."""
        v = self.prediction_error
        captured = np.maximum(v - self.mmse, 0.0)
        unsent = captured <= _NO_BITS * v
        return np.where(unsent, np.inf, v * self.mmse / np.where(unsent, 1.0, captured))

    @cached_property
    def _quantisers(self) -> list[list[Quantiser | None]]:
        """Quantiser of each frame and mode; None where nothing is sent."""
        v, noise = (a.reshape(self.source.frames, -1) for a in (self.prediction_error, self.noise))
        second_moment = lattice(self.lattice).second_moment
        if self.levels is not None:
            return [
                [limited_quantiser(p, m, self.levels) if n < np.inf else None]
                for p, m, n in zip(v[:, 0], self.mmse, noise[:, 0], strict=True)
            ]
        return [
            [
                Quantiser(np.sqrt(n / second_moment), p / (p + n), p + n) if n < np.inf else None
                for p, n in zip(*row, strict=True)
            ]
            for row in zip(v, noise, strict=True)
        ]

    def quadrature_rates(self) -> Array:
        r"""Rates by quadrature instead of bytes, for the lattice Z.

        This is the ideal code length under the codec's Gaussian model, averaged over the exact
        distribution of :math:`e_t`: a sum of independent variables, one Gaussian and one uniform
        for each earlier frame. In the first frame the model is exact and the rate is
        :math:`I(e_1; e_1 + N_1)`.

        Returns
        -------
        (T,) array, or (T, d), bits per sample without container and header

        Raises
        ------
        ValueError
            A lattice other than Z.

        Notes
        -----
        The density of :math:`e_t + N_t` comes from its characteristic function by the
        trapezoidal rule, which is accurate to rounding for such a smooth density.

        Examples
        --------
        >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
        >>> DitheredCodec.at_rates(source, [0.5, 4.0]).quadrature_rates().round(4)
        array([0.7508, 4.2546])
        """
        if self.lattice != "Z":
            raise ValueError(f"lattice: expected 'Z' for rates by quadrature, got {self.lattice!r}")
        if self.levels is not None:
            raise ValueError(f"levels: expected None for rates by quadrature, got {self.levels}")
        values = self.prediction_error, self.noise, self.source.gain, self.source.innovation
        v, noise, gain, innovation = (a.reshape(self.source.frames, -1) for a in values)
        return code_lengths(v, noise, gain, innovation).reshape(self.mmse.shape)

    def encode(self, x: Array, seed: int) -> bytes:
        """Return one stream for n independent sequences.

        Parameters
        ----------
        x : (n, T) array, or (n, T, d)
            Sequences, in the units of the source.
        seed : int, 0 <= seed < 2**63
            Seed of the shared randomness. The stream carries it. The same x and seed give the same
            bytes.

        Raises
        ------
        ValueError
            Samples of the wrong shape, NaN, infinite, or too far from the source for the entropy
            coder; a seed out of range.
        """
        x = _check.finite("x", _check.array("x", x))
        if x.shape[1:] != self.source.sigma.shape or len(x) == 0:
            raise ValueError(
                f"x: expected shape (n, {_text(self.source.sigma.shape)}), got {x.shape}"
            )
        if x.size > MAX_SAMPLES:
            raise ValueError(f"x: expected at most {MAX_SAMPLES} values, got {x.size}")
        seed = _check.seed("seed", seed)
        chunks, _ = self._run(len(x), seed, x=x)
        return pack(KIND, self._header(len(x), seed), chunks)

    def read(self, stream: bytes, max_samples: int = READ_SAMPLES) -> DitheredMessage:
        """Decode a stream of this codec up to the choice of the perception loss.

        The function `read` of this module does it without knowing the codec. Raises CorruptStream
        if the bytes are damaged, another codec wrote them, or they hold more than max_samples
        values.
        """
        message = read(stream, max_samples)
        if message.codec._header(1, 0) != self._header(1, 0):
            raise CorruptStream("stream: written by a codec of another source, mmse or lattice")
        return message

    def decoder(self, plf: Perception | str | None) -> Array:
        r"""Return the matrix K of a decoder :math:`\hat X = K u` at zero perception loss.

        Parameters
        ----------
        plf : {"MMSE", "FMD", "JD", "JD(w)", "SA"}, FMD(0), JD(0), JD(0, window=w), SA(0) or None
            Perception loss; "MMSE" and None are no perception loss.

        Returns
        -------
        (T, T) array, or (d, T, T), lower triangular

        Notes
        -----
        See :mod:`rdp.codec.decoders`. Under limited common randomness the message adds noise of the
        decoder's own.
        """
        return decoders.white_decoder(self.source, self.mmse, plf, self.common_randomness)[0]

    def _run(
        self, n: int, seed: int, x: Array | None = None, chunks: list[bytes] | None = None
    ) -> tuple[list[bytes], Array]:
        """Encode x into chunks, or decode chunks; return the chunks written and u, (n, T, d)."""
        frames, modes = self.source.frames, self.source.modes or 1
        gain, v = (a.reshape(frames, modes) for a in (self.source.gain, self.prediction_error))
        white = np.empty((frames, modes, n))
        estimate = np.zeros((modes, n))
        written = []
        for t, quantisers in enumerate(self._quantisers):
            coder = None
            if any(quantisers):
                coder = Encoder() if chunks is None else Decoder(chunks[t])
            for i, quantiser in enumerate(quantisers):
                estimate[i] *= gain[t, i]
                if coder is None or quantiser is None:
                    white[t, i] = decoder_noise(seed, t, i, n)
                    continue
                error = None if x is None else x.reshape(n, frames, modes)[:, t, i] - estimate[i]
                y = self._quantise(coder, n, (seed, t, i), v[t, i], quantiser.step, error)
                estimate[i] += quantiser.gain * y
                white[t, i] = y / np.sqrt(quantiser.power)
            if isinstance(coder, Decoder):
                coder.finish()
            else:
                written.append(b"" if coder is None else coder.finish())
        return written, np.moveaxis(white, -1, 0)

    def _quantise(
        self,
        coder: Encoder | Decoder,
        n: int,
        place: tuple[int, int, int],
        v: float,
        step: float,
        error: Array | None,
    ) -> Array:
        """Code the lattice points of n sequences and return y = e + N.

        place is (seed, frame, mode); error is e, or None while decoding.
        """
        grid = lattice(self.lattice)
        blocks = -(-n // grid.dimension)
        shape = (grid.dimension, blocks)
        if self.levels is None:
            dither = uniform_dither(*place, shape) * grid.period
        else:
            dither = coarse_dither(*place, shape, self.levels)
        points = None
        if error is not None:
            reach, farthest = step * (MAX_RANGE // 4), np.abs(error).max()
            if farthest > reach:
                raise ValueError(
                    f"x: expected values within {reach:g} of the prediction at frame "
                    f"{place[1] + 1}, got one {farthest:g} away"
                )
            padded = np.zeros(dither.size)
            padded[:n] = error
            points = grid.nearest(padded.reshape(dither.shape) / step + dither)
        points = code_points(coder, grid, dither, float(np.sqrt(v) / step), points)
        return (step * (points - dither)).reshape(-1)[:n]

    def _header(self, n: int, seed: int) -> bytes:
        name = list(LATTICES).index(self.lattice)
        counts = varints([n, self.source.frames, self.source.modes or 0, name, seed])
        numbers = (self.source.sigma, self.source.rho, self.mmse)
        limit = b"" if self.levels is None else varints([self.levels])
        return counts + b"".join(np.ascontiguousarray(a, "<f8").tobytes() for a in numbers) + limit


@dataclass(frozen=True, eq=False)
class DitheredMessage:
    """A stream that has been read: the white variables, before a perception loss is chosen.

    Parameters
    ----------
    codec : DitheredCodec
        The codec that the header describes.
    seed : int
        Seed of the shared randomness.
    white : (n, T) array, or (n, T, d)
        u_t, uncorrelated and of unit variance.
    rates : (T,) array
        Bits of each frame for one sequence. Every frame gets the same share of container and
        header, so the sum covers all bits of the stream.
    """

    codec: DitheredCodec
    seed: int
    white: Array
    rates: Array

    def decode(self, plf: Perception | str | None = None, private: int = 0) -> Array:
        """Return the reconstruction at zero loss for FMD, JD or SA, or the MMSE estimate for None.

        A loss is given as "JD" or JD(0). The result has the shape (n, T), or (n, T, d), and the
        units of the source. Under limited common randomness the decoder adds noise of its own from
        the seed ``private``; it has nothing to do with the stream.
        """
        codec = self.codec
        args = codec.source, codec.mmse, plf, codec.common_randomness
        matrix, noise = decoders.white_decoder(*args)
        if matrix.ndim == 3:
            return np.einsum("nsd,dts->ntd", self.white, matrix)
        found = self.white @ matrix.T
        if noise.any():
            found += private_noise(_check.seed("private", private), found.shape) @ noise.T
        return found


def read(stream: bytes, max_samples: int = READ_SAMPLES) -> DitheredMessage:
    """Decode a stream of any `DitheredCodec` up to the choice of the perception loss.

    The header describes the codec. A stream of more than max_samples values, or whose decoders are
    matrices of more entries, is refused before memory is taken. Frames without bits need no bytes,
    so a short stream may hold many values. Reading and decoding take less memory than 100 bytes for
    each accepted value. Raises CorruptStream for bytes that are damaged or of another kind.
    """
    header, chunks = unpack(stream, KIND)
    reader = Reader(header)
    n, frames, modes, name, seed = (reader.varint() for _ in range(5))
    if not (n >= 1 and frames == len(chunks) >= 1 and name < len(LATTICES)):
        raise CorruptStream(f"stream: header of {n} sequences, {frames} frames, lattice {name}")
    if max(n, frames) * frames * max(modes, 1) > max_samples:
        raise CorruptStream(
            f"stream: expected at most {max_samples} values, got {n} x {frames} x {max(modes, 1)}; "
            "max_samples allows more"
        )
    shape = (frames, modes) if modes else (frames,)
    per_frame = max(modes, 1)
    sizes = (frames * per_frame, (frames - 1) * per_frame, frames * per_frame)
    sigma, rho, mmse = (reader.floats(size).reshape(-1, *shape[1:]) for size in sizes)
    levels = reader.varint() if reader.left else None
    reader.finish()
    try:
        codec = DitheredCodec(GaussMarkov(sigma, rho), mmse, list(LATTICES)[name], levels)
    except ValueError as error:
        raise CorruptStream(f"stream: {error}") from None
    _, white = codec._run(n, seed, chunks=chunks)
    shared = (len(stream) - sum(map(len, chunks))) / frames
    rates = 8 * (np.array([len(chunk) for chunk in chunks]) + shared) / n
    return DitheredMessage(codec, seed, white if modes else white[..., 0], rates)


def decode(stream: bytes, plf: Perception | str | None = None) -> Array:
    """Return the reconstruction of a stream for one loss; `read` it once to decode for several."""
    return read(stream).decode(plf)


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
