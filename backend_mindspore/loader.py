"""Batches of a training stream through MindSpore's GeneratorDataset; `backend_torch/loader.py` is its twin."""

from collections.abc import Iterator

from mindspore import dataset

from segformer_core.data.one_thread import one_thread
from segformer_core.data.pipeline import GuardedStream, TrainingStream, raise_message
from segformer_core.protocol.learner import Batch


def batches(stream: TrainingStream, workers: int, first_step: int) -> Iterator[Batch]:
    """The run's batches from `first_step` on, read ahead by `workers` threads. Raises DataError."""
    size = len(stream.share)
    samples = dataset.GeneratorDataset(
        GuardedStream(stream),
        column_names=["image", "label", "message"],
        sampler=dataset.SequentialSampler(start_index=first_step * size),
        num_parallel_workers=max(workers, 1),
        python_multiprocessing=False,
    )
    loader = samples.batch(size, drop_remainder=True)
    with one_thread():  # its own threads read
        for images, labels, messages in loader.create_tuple_iterator(num_epochs=1, output_numpy=True):
            raise_message(messages)
            yield images, labels
