"""``python -m generate``, in the folder ``docs``."""

import sys

from generate import generate
from generate.paths import ROOT

sys.path.insert(0, str(ROOT))
generate()
