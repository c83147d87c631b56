"""Entropy model: density, tables, counts and bytes agree."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.entropy_model import EntropyModel, Table, count_table  # noqa: E402
from neural.codecs.quantiser import Quantiser, shared_dither  # noqa: E402
from rdp.codec.bitstream import CorruptStream, Decoder, Encoder  # noqa: E402

N = 40_000


@pytest.fixture(scope="module")
def model():
    """Model of two latents, one broad and one narrow and shifted."""
    out = EntropyModel(2)
    with torch.no_grad():
        out.mean.copy_(torch.tensor([[-0.1, 0.0, 0.1], [0.12, 0.12, 0.12]]))
        out.log_sd.copy_(torch.tensor([[0.07, 0.08, 0.09], [-0.1, -0.1, -0.1]]))
    out.tabulate()
    return out


@pytest.fixture(scope="module")
def sent(model):
    """Integers drawn from the model itself."""
    rng = torch.Generator().manual_seed(0)
    mean, sd = 10 * model.mean.detach(), torch.exp(10 * model.log_sd.detach())
    pick = torch.randint(3, (N, 2), generator=rng)
    channel = torch.arange(2)
    y = mean[channel, pick] + sd[channel, pick] * torch.randn(N, 2, generator=rng)
    dither = shared_dither(0, 0, y.shape)
    return dither, Quantiser().index(y, dither)


def test_tables_are_distributions(model):
    np.testing.assert_allclose(model.table.pmf.sum(axis=2), 1.0, rtol=1e-12)
    assert (model.table.pmf >= 0).all()


def test_a_symmetric_density_has_symmetric_tables():
    model = EntropyModel(1)
    model.tabulate()
    np.testing.assert_allclose(
        model.table.pmf[0], model.table.pmf[0, ::-1, ::-1], rtol=1e-4, atol=1e-7
    )
    assert model.table.low == 1 - (model.table.low + model.table.pmf.shape[2])


def test_code_lengths_of_density_table_and_bytes_agree(model, sent):
    dither, index = sent
    smooth = model.bits(Quantiser().value(index, dither)).detach().double()
    table = model.table.bits(dither, index)
    error = float((table - smooth).std()) / np.sqrt(N)
    np.testing.assert_allclose(table.mean(), smooth.mean(), atol=4 * error + 1e-4)
    encoder = Encoder()
    model.table.code(encoder, dither, index)
    measured = 8 * len(encoder.finish())
    assert measured == pytest.approx(float(table.sum()), rel=1e-3, abs=200)


def test_counts_find_the_same_distribution(model, sent):
    counted = count_table(*sent)
    gap = counted.bits(*sent).mean() - model.table.bits(*sent).mean()
    # the tables hold a few hundred free numbers, each worth half a nat of fit
    assert abs(gap) < 0.02
    fresh = np.abs(counted.pmf.mean(axis=1).sum(axis=1) - 1).max()
    assert fresh < 1e-12


def decode(decoder, table, dither):
    index = table.code(decoder, dither)
    decoder.finish()
    return index


def test_integers_come_back(model, sent):
    dither, index = sent
    encoder = Encoder()
    model.table.code(encoder, dither, index)
    assert torch.equal(decode(Decoder(encoder.finish()), model.table, dither), index)


def test_another_table_is_noticed(model, sent):
    dither, index = sent
    encoder = Encoder()
    model.table.code(encoder, dither, index)
    other = Table(model.table.low, np.roll(model.table.pmf, 1, axis=2))
    with pytest.raises(CorruptStream):
        decode(Decoder(encoder.finish()), other, dither)


def test_outliers_are_clipped_to_the_table(model):
    table = model.table
    far = torch.tensor([[-(10**6), 10**6]])
    clipped = table.clip(far)
    assert clipped.tolist() == [[table.low, table.low + table.pmf.shape[2] - 1]]


def test_tables_travel_with_the_model(model):
    other = EntropyModel(2)
    other.load_state_dict(model.state_dict())
    assert other.table.low == model.table.low
    assert np.array_equal(other.table.pmf, model.table.pmf)
    empty = EntropyModel(2)
    empty.load_state_dict(EntropyModel(2).state_dict())
    assert empty.table is None


def test_training_finds_the_entropy():
    """Fitted to a Gaussian latent, the model reaches its code length to a hundredth of a bit."""
    rng = torch.Generator().manual_seed(1)
    model = EntropyModel(1)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(400):
        y = 1.5 * torch.randn(2000, 1, generator=rng)
        loss = model.bits(Quantiser().noisy(y, rng)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    from rdp.codec.dithered import DitheredCodec
    from rdp.source import GaussMarkov

    # the same quantiser as a constructive codec: noise 1/12 on variance 2.25
    mmse = 2.25 / 12 / (2.25 + 1 / 12)
    exact = DitheredCodec(GaussMarkov([1.5]), [mmse]).quadrature_rates()[0]
    y = 1.5 * torch.randn(200_000, 1, generator=rng)
    with torch.no_grad():
        found = float(model.bits(Quantiser().noisy(y, rng)).mean())
    assert exact - 0.005 < found < exact + 0.01


def test_wrong_shape_is_refused(model):
    with pytest.raises(ValueError, match=r"dither: expected shape \(n, 2\)"):
        model.table.code(Encoder(), torch.zeros(4, 3))
