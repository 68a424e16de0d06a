"""A network is built, trained for one step and asked for logits, in this process: `python -m parity_tests.ascend.one_step`."""

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import CONFIG, hot_arrays, mindspore_learner, random_batch, random_masks
from segformer_core.protocol.groups import parameter_groups


def main() -> None:
    spec = small_network()
    learner = mindspore_learner(spec, hot_arrays(spec))
    batch = random_batch(spec, 2, 32, 32)
    step = learner.step(batch, random_masks(spec, 2), [1e-4] * len(parameter_groups(spec, CONFIG.optimizer)))
    print(f"loss {float(step.loss):.3f}")
    learner.forward(batch[0])


if __name__ == "__main__":
    main()
