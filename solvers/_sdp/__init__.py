"""Parts of the semidefinite programs."""
