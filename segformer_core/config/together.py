"""Values of several keys that do not fit each other, or that are measured by another scale."""

from segformer_core.config.keys import Config, EvaluationConfig
from segformer_core.errors import ConfigError

LARGEST_PIXEL = 255


def check_together(config: Config) -> None:
    """Raises ConfigError."""
    low, high = config.data.scale_range
    if low > high:
        raise ConfigError(f"scale_range is [{low}, {high}]; expected the smaller scale first")
    check_windows(config.evaluation)
    _check_scale("img_norm_mean", config.data.img_norm_mean)
    _check_scale("img_norm_std", config.data.img_norm_std)


def check_windows(evaluation: EvaluationConfig) -> None:
    """Raises ConfigError if windows leave pixels between them."""
    crop, stride = evaluation.eval_crop_size, evaluation.eval_stride
    if stride[0] > crop[0] or stride[1] > crop[1]:
        raise ConfigError(
            f"eval_stride is {list(stride)} and eval_crop_size {list(crop)}: pixels between the windows would have no label; "
            "expected a stride no larger than the crop"
        )


def _check_scale(name: str, values: tuple[float, ...]) -> None:
    """Raise ConfigError for statistics of pixels in 0..1, as most code bases give them."""
    if 0 < max(values) < 1:
        scaled = ",".join(f"{value * LARGEST_PIXEL:.6g}" for value in values)
        raise ConfigError(
            f"{name} is {list(values)}, of pixels in 0..1; expected it for pixels in 0..255: set --{name} [{scaled}]"
        )
