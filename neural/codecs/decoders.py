"""The decoders of a codec: for each loss one network a frame, and what is known of their training.

A decoder for a perception loss begins as the MMSE decoder, frame by frame, when training first
reaches that frame. The JD decoder of a later frame can begin as its own frame before, moved.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, cast

from torch import nn


class Decoders(nn.ModuleDict):
    """Decoders by loss: "MMSE", "FMD", "JD", "SA".

    Parameters
    ----------
    mmse : iterable of T modules
        Networks of the MMSE decoder.
    shares_first : bool
        Whether all perception losses use one network for the first frame: there they agree.
    joint_moves_own : bool
        Whether the networks of the JD decoder for later frames begin without new content. They
        must have a method `begin_without_content`.
    """

    def __init__(
        self,
        mmse: Iterable[nn.Module],
        shares_first: bool = False,
        joint_moves_own: bool = False,
    ) -> None:
        super().__init__({"MMSE": nn.ModuleList(mmse)})
        self.shares_first = shares_first
        self.joint_moves_own = joint_moves_own
        self.trained_frames: dict[str, list[int]] = {}  # of each perception loss, from 0

    def of(self, plf: str) -> list[nn.Module]:
        """Return the networks for one loss, one a frame."""
        return list(cast(nn.ModuleList, self[plf]))

    def add(self, plf: str) -> None:
        """Add a decoder for a perception loss, as a copy of the MMSE decoder."""
        networks = cast(nn.ModuleList, copy.deepcopy(self["MMSE"]))
        others = list(self.trained_frames)
        self.trained_frames[plf] = []
        if self.shares_first and others:
            networks[0] = self.of(others[0])[0]
            if 0 in self.trained_frames[others[0]]:
                self.trained_frames[plf] = [0]
        self[plf] = networks

    def prepare(self, plfs: Iterable[str], frames: Iterable[int] | None = None) -> None:
        """Make decoders ready for training: frames that never were begin from the MMSE decoder.

        Parameters
        ----------
        plfs : iterable of {"MMSE", "FMD", "JD", "SA"}
            Losses that will be trained.
        frames : iterable of int, or None
            Frames that will be trained, from 0; None is all.
        """
        chosen = list(range(len(self.of("MMSE"))) if frames is None else frames)
        for plf in plfs:
            if plf == "MMSE":
                continue
            if plf not in self:
                self.add(plf)
            for t in chosen:
                if t not in self.trained_frames[plf]:
                    network: Any = self.of(plf)[t]
                    network.load_state_dict(self.of("MMSE")[t].state_dict())
                    if self.joint_moves_own and plf == "JD" and t > 0:
                        network.begin_without_content()
                    self._mark(plf, t)

    def _mark(self, plf: str, t: int) -> None:
        """Note that frame t of a decoder was trained, for all that share the network."""
        for other in self.trained_frames if self.shares_first and t == 0 else (plf,):
            self.trained_frames[other] = sorted({t, *self.trained_frames[other]})

    def get_extra_state(self) -> dict[str, list[int]]:
        """Return which frames were trained, for the model's file; torch calls this."""
        return {plf: list(frames) for plf, frames in self.trained_frames.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take which frames were trained from a model's file; torch calls this."""
        self.trained_frames = {plf: list(frames) for plf, frames in state.items()}
