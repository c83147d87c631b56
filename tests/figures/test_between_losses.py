"""What the figures of the critic's memory and of causality say, in their numbers."""

from importlib import import_module

import numpy as np
from numpy.testing import assert_allclose


def test_a_larger_window_keeps_more_motion_and_more_error_after_a_lost_frame():
    module = import_module("figures.window_memory")
    table = module.compute()
    error = table[table.panel == "distortion"].pivot(index="x", columns="window", values="value")
    assert (np.diff(error, axis=1) >= -1e-12).all()
    assert error.loc[12, 2] < 1.01 * error.loc[12, 1]
    assert error.loc[12, 12] > 0.4
    kept = table[table.panel == "correlation"].pivot(index="x", columns="window", values="value")
    for window in module.WINDOWS:
        inside = kept[window][kept.index < window]
        assert_allclose(inside, module.RHO ** inside.index.to_numpy(), atol=1e-9)
    assert (np.diff(kept, axis=1) >= -1e-12).all()


def test_causality_costs_more_than_realism_but_at_very_low_rates():
    module = import_module("figures.price_of_causality")
    table = module.compute().pivot(index="rate_bits", columns="curve", values="value")
    assert (table.noncausal_mmse <= table.noncausal_realism).all()
    assert (table.noncausal_realism <= table.causal_realism).all()
    usual = table[table.index > 0.1]
    assert (usual.causality > usual.realism).all()
    assert table.causality.iloc[0] < table.realism.iloc[0]
    half = table.index.get_indexer([0.5], method="nearest")[0]
    assert_allclose(table.index[half], 0.5)
    assert_allclose(table.noncausal_realism.iloc[half], 0.135737, atol=5e-7)


def test_codecs_with_few_shared_bits_lie_above_the_bound_and_at_their_scheme():
    module = import_module("figures.shared_bits")
    table = module.compute().pivot(
        index=["frame", "shared_bits"], columns="series", values="distortion"
    )
    for plf in ("FMD", "JD"):
        assert (table[plf].dropna() >= table["bound"].dropna() - 1e-12).all()
        points = table[f"codec {plf}"].dropna()
        assert (points > 1.2 * table["codec bound"].dropna()).all()
        limited = points.drop(np.inf, level="shared_bits")
        assert_allclose(limited, table[plf][limited.index], rtol=0.05)
    assert (np.diff(table["codec JD"].dropna().unstack(), axis=1) < 0).all()
