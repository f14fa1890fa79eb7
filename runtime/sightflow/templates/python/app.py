"""What `componentize-py` makes a component of: the blocks, and how the host calls them."""

import blocks  # noqa: F401 (its decorators say which blocks there are)
from sightflow_block import Batches, Blocks  # noqa: F401 (the component's exports)
