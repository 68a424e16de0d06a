"""Values of several keys that do not fit each other, or that are measured by another scale."""

from segformer_core.config.keys import Config, EvaluationConfig, LossConfig
from segformer_core.config.objective import objective
from segformer_core.errors import ConfigError

LARGEST_PIXEL = 255


def check_together(config: Config) -> None:
    """Raises ConfigError."""
    if config.evaluation.early_stop and not config.evaluation.run_eval:
        raise ConfigError("early_stop ends a run by its evaluations, and run_eval is False; set run_eval True or early_stop 0")
    low, high = config.data.scale_range
    if low > high:
        raise ConfigError(f"scale_range is [{low}, {high}]; expected the smaller scale first")
    check_windows(config.evaluation)
    _check_range(config.data.image_range)
    _check_scale("img_norm_mean", config.data.img_norm_mean)
    _check_scale("img_norm_std", config.data.img_norm_std)
    _check_objective(config.loss, config.training.accumulation_steps)


def check_windows(evaluation: EvaluationConfig) -> None:
    """Raises ConfigError if windows leave pixels between them."""
    crop, stride = evaluation.eval_crop_size, evaluation.eval_stride
    if stride[0] > crop[0] or stride[1] > crop[1]:
        raise ConfigError(
            f"eval_stride is {list(stride)} and eval_crop_size {list(crop)}: pixels between the windows would have no label; "
            "expected a stride no larger than the crop"
        )


def check_devices(loss: LossConfig, devices: int) -> None:
    """Raise ConfigError for a loss that cannot be computed over the batches of several devices."""
    if objective(loss.loss).lovasz and devices > 1:
        raise ConfigError(
            f"loss is {loss.loss} on {devices} devices; lovasz sorts the pixels of the whole batch, which one device must hold: "
            "train on one, or with dice in its place"
        )


def check_channels(config: Config) -> None:
    """Raises ConfigError unless mean and deviation have a number for each channel.

    For a command that knows by now what the weights say: these bring the numbers with them.
    """
    count = config.model.in_channels
    for name in ("img_norm_mean", "img_norm_std"):
        values = getattr(config.data, name)
        if len(values) != count:
            raise ConfigError(
                f"{name} has {len(values)} numbers and in_channels is {count}; expected a number for each channel: "
                f"segformer check_dataset {config.data.data_path} --in_channels {count} measures them on your images"
            )


def _check_range(values: tuple[float, ...]) -> None:
    """Raises ConfigError."""
    if values and (len(values) != 2 or not values[0] < values[1]):
        raise ConfigError(f"image_range is {list(values)}; expected two numbers, the lower one first, such as [0, 4095]")


def _check_objective(loss: LossConfig, accumulation_steps: int) -> None:
    """Raises ConfigError."""
    wanted = objective(loss.loss)
    if wanted.over_regions and accumulation_steps > 1:
        regions = " and ".join(wanted.over_regions)
        raise ConfigError(
            f"loss is {loss.loss} and accumulation_steps {accumulation_steps}; {regions} must see the whole batch at once: set "
            "--accumulation_steps 1 with a smaller batch_size, or --loss ce or focal"
        )
    weighed = loss.class_weights.strip().lower() not in ("none", "")
    chosen = {"class_weights": weighed, "ohem_threshold": loss.ohem_threshold > 0}
    without = [name for name, is_set in chosen.items() if is_set and not wanted.over_pixels]
    if without:
        name = without[0]
        raise ConfigError(
            f"{name} is {getattr(loss, name)} and loss is {loss.loss}; it is for the pixels of ce and focal: add one of them to "
            f"loss, or leave {name} out"
        )


def _check_scale(name: str, values: tuple[float, ...]) -> None:
    """Raise ConfigError for statistics of pixels in 0..1, as most code bases give them."""
    if 0 < max(values) < 1:
        scaled = ",".join(f"{value * LARGEST_PIXEL:.6g}" for value in values)
        raise ConfigError(
            f"{name} is {list(values)}, of pixels in 0..1; expected it for pixels in 0..255: set --{name} [{scaled}]"
        )
