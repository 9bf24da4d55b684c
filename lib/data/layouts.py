"""The layouts that one image's features come in: lists of regions or cells, and maps of cells.

A map's cells are pooled to 7 x 7 by adaptive averages."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from lib.config import FeaturesConfig
from lib.errors import InputError

KEEP_ALL = "keep all with features.grid_size=null (eval.py: --grid_size off)"


def rows_of(
    path: str | Path, array: np.ndarray, img_dim: int, features: FeaturesConfig
) -> np.ndarray:
    """An array in any layout -> (K, C) float32, told by ``img_dim``, the channels of a region or
    cell; ``type``, ``regions`` and ``grid_size`` say what it must hold and becomes. ``path`` names
    it in errors. Raises InputError: another layout."""
    shape = array.shape
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {array.dtype}, expected numbers")
    rows = array if array.ndim == 2 else map_of(path, array, img_dim, features)
    if rows.shape[-1] != img_dim:
        maps = ", (H, W, C), (C, H, W) or (1, C, H, W)" if features.type == "grid" else ""
        raise InputError(
            f"{path}: shape {shape}, expected (K, C){maps} with C = {img_dim} (model.img_dim)"
        )
    if 0 in rows.shape:
        raise InputError(f"{path}: shape {shape} holds no row")
    if features.type == "grid" and features.grid_size is not None:
        rows = _pooled(path, rows, features.grid_size)
    rows = rows.reshape(-1, img_dim)
    if features.regions not in (None, len(rows)):
        raise InputError(
            f"{path}: holds {len(rows)} rows, expected {features.regions} "
            "(features.regions or model.regions)"
        )
    return np.ascontiguousarray(rows, np.float32)


def map_of(
    path: str | Path, array: np.ndarray, img_dim: int, features: FeaturesConfig
) -> np.ndarray:
    """(H, W, C), (C, H, W) or (1, C, H, W) -> (H, W, C), a view. Raises InputError: another
    layout."""
    shape = array.shape
    if features.type != "grid" and array.ndim in (3, 4):
        raise InputError(
            f"{path}: shape {shape} is a map's, expected (K, C) of detected regions; for grid "
            "features say features.type=grid (eval.py: --features grid)"
        )
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3:
        raise InputError(
            f"{path}: shape {shape}, expected (K, C), (H, W, C), (C, H, W) or (1, C, H, W)"
        )
    if array.shape[0] == array.shape[2] == img_dim:
        raise InputError(f"{path}: shape {shape} could be (H, W, C) or (C, H, W); store (K, C)")
    return array.transpose(1, 2, 0) if array.shape[0] == img_dim else array


def _pooled(path: str | Path, rows: np.ndarray, side: int) -> np.ndarray:
    if rows.ndim == 2 and len(rows) == side * side:
        return rows  # pooled already
    if rows.ndim == 2:
        raise InputError(
            f"{path}: holds {len(rows)} cells without their height and width, which cannot be "
            f"pooled to {side} x {side}; store (H, W, C), or {KEEP_ALL}"
        )
    # A narrow picture's map has fewer cells than that, and some are repeated. But a single row
    # is more likely a (1, K, C) list of cells that has lost its height and width.
    if min(rows.shape[:2]) == 1 < side:
        raise InputError(
            f"{path}: its map of {rows.shape[0]} x {rows.shape[1]} cells cannot be averaged to "
            f"{side} x {side}; if it is a list of cells, store (H, W, C), or {KEEP_ALL}"
        )
    maps = torch.from_numpy(np.ascontiguousarray(rows.transpose(2, 0, 1), np.float32))
    return adaptive_avg_pool2d(maps, side).numpy().transpose(1, 2, 0)
