"""Sources of any order: encoders, decoders, steady state, and noisy observation.

`measurement` and `steady_encoder` make the representation, `decoder` and `held_back` the
reconstruction, `spectral` the steady state, `perceptual_filter` the noisy observation. Every
optimum comes with a bound from its dual program.
"""
