"""Cross-entropy over pixels; `backend_mindspore/loss.py` is its twin."""

from torch import Tensor, nn

from segformer_core.data.dataset import IGNORED


class CrossEntropy(nn.Module):
    """Mean over the pixels that are not ignored of -log softmax(logits)[label]; 0 when every pixel is ignored."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K, H, W) float32 logits, (B, H, W) integer labels with 255 ignored -> a scalar."""
        total = nn.functional.cross_entropy(logits, labels.long(), ignore_index=IGNORED, reduction="sum")
        return total / (labels != IGNORED).sum().clamp(min=1)
