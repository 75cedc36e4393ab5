"""Token vectors in fewer dimensions, so that a large library fits on a disk: a third of the space at 128 instead of 384.

The directions are those along which the tokens of the library vary most (principal components, not centred, so that dot
products are kept). Vectors are brought back to length 1 afterwards. Measured losses: docs/evaluation.md.
"""

import numpy as np

from fieldguide.types import FloatMatrix

DIMENSIONS = 128
# A token that the library's directions hardly know must stay short: stretched to length 1 it would be noise.
SHORTEST = 0.5


def fit(token_vectors: FloatMatrix) -> FloatMatrix:
    """The directions (d, at most DIMENSIONS) for tokens (n, d)."""
    dimension = token_vectors.shape[1]
    if dimension <= DIMENSIONS:
        return np.eye(dimension, dtype=np.float32)
    _, directions = np.linalg.eigh(token_vectors.T @ token_vectors)  # in ascending order of variance
    return np.ascontiguousarray(directions[:, ::-1][:, :DIMENSIONS], np.float32)


def reduce(token_vectors: FloatMatrix, directions: FloatMatrix) -> FloatMatrix:
    """Token vectors (n, d) along the directions (d, r), again of length 1: (n, r)."""
    reduced = token_vectors @ directions
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.asarray(reduced / np.maximum(lengths, SHORTEST), np.float32)
