"""Values of several keys that do not fit each other, or that are measured by another scale."""

from segformer_core.config.keys import Config
from segformer_core.errors import ConfigError

LARGEST_PIXEL = 255


def check_together(config: Config) -> None:
    """Raises ConfigError."""
    if config.evaluation.early_stop and not config.evaluation.run_eval:
        raise ConfigError("early_stop ends a run by its evaluations, and run_eval is False; set run_eval True or early_stop 0")
    low, high = config.data.scale_range
    if low > high:
        raise ConfigError(f"scale_range is [{low}, {high}]; expected the smaller scale first")
    crop, stride = config.evaluation.eval_crop_size, config.evaluation.eval_stride
    if stride[0] > crop[0] or stride[1] > crop[1]:
        raise ConfigError(
            f"eval_stride is {list(stride)} and eval_crop_size {list(crop)}: pixels between the windows would have no label; "
            "expected a stride no larger than the crop"
        )
    _check_scale("img_norm_mean", config.data.img_norm_mean)
    _check_scale("img_norm_std", config.data.img_norm_std)


def _check_scale(name: str, values: tuple[float, ...]) -> None:
    """Raise ConfigError for statistics of pixels in 0..1, as most code bases give them."""
    if 0 < max(values) < 1:
        scaled = ",".join(f"{value * LARGEST_PIXEL:.6g}" for value in values)
        raise ConfigError(
            f"{name} is {list(values)}, of pixels in 0..1; expected it for pixels in 0..255: set --{name} [{scaled}]"
        )
