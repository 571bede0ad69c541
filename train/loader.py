"""Items of a dataset, made by other processes ahead of time."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, Dataset


def in_order(items: Dataset[Any], workers: int, ahead: int) -> DataLoader[Any]:
    """Each item in turn, as it is; each of the workers is so many `ahead`.

    They are forked, which Python 3.14 no longer does by itself: the C++ in items is not pickled.
    """
    return DataLoader(
        items,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=ahead if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
