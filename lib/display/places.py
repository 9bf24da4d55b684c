"""Where a model's regions or cells are in a picture."""

import numpy as np

from lib.config import FeaturesConfig
from lib.data.feature_files import FeatureFiles
from lib.data.memmap import MemmapArray
from lib.data.split import Split

BOXES = "ims_bbx"  # ends the name of the file of boxes


class Places:
    """Boxes of the regions, or cells of the grid, of every picture of a split."""

    def __init__(self, split: Split, features: FeaturesConfig):
        """Raises InputError: the file of boxes is damaged, or of other pictures."""
        self.split, self.features = split, features
        self.boxes: MemmapArray | None = None
        path = split.folder / f"{split.name}_{BOXES}.npy"
        if features.type == "region" and path.is_file():
            count = len(split.image_ids)
            self.boxes = MemmapArray(path, count, (None, 4), "regions, left top right bottom")

    def of(self, image: int, regions: int, size: tuple[int, int] | None) -> np.ndarray | None:
        """(regions, 4) float64: left, top, right, bottom of each as shares of the picture's width
        and height, (width, height) ``size`` in pixels; None: nobody knows where they are. Without a
        picture, of no size, boxes are shares of what they all cover."""
        if self.features.type == "region":
            if self.boxes is None or self.boxes.shape[1] < regions:
                return None
            boxes = self.boxes[image][:regions].astype(np.float64)
            width, height = size or (max(boxes[:, 2].max(), 1), max(boxes[:, 3].max(), 1))
            return (boxes / (width, height, width, height)).clip(0, 1)
        rows, columns = self._cells(image, regions)
        if rows * columns != regions:
            return None
        row, column = np.divmod(np.arange(regions), columns)
        corners = (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        return np.stack(corners, axis=1)

    def _cells(self, image: int, regions: int) -> tuple[int, int]:
        """Rows and columns of a picture's grid: of its map, unless that was averaged."""
        files = self.split.features
        if self.features.grid_size is None and isinstance(files, FeatureFiles):
            return files.map_size(image)
        side = round(regions**0.5)
        return side, side
