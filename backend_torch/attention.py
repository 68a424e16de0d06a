"""Attention, whole and in heads."""

import torch
from torch import Tensor, nn

from backend_torch import onednn


class MultiHead(nn.Module):
    """`Attend` in each head: (B, N, C) queries, (B, M, 2C) keys and values -> (B, N, C)."""

    def __init__(self, features: int, heads: int, fused: bool = True):
        super().__init__()
        self.heads, self.features = heads, features
        self.attend = Attend(fused)

    def forward(self, q: Tensor, kv: Tensor) -> Tensor:
        B, N, C = q.shape[0], q.shape[1], self.features
        heads, d = self.heads, C // self.heads
        q = q.reshape(B, N, heads, d).permute(0, 2, 1, 3)
        kv = kv.reshape(B, -1, 2, heads, d).permute(2, 0, 3, 1, 4)  # (2, B, heads, M, d): keys, values
        x = self.attend(q, kv[0], kv[1])
        return x.permute(0, 2, 1, 3).reshape(B, N, C)


class Attend(nn.Module):
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values."""

    def __init__(self, fused: bool = True):
        super().__init__()
        self.fused = fused
        self.plain = PlainAttend()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.fused and onednn.takes_attention(q):
            return onednn.attend(q, k, v)
        if self.fused:
            return nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.0, is_causal=False)
        return self.plain(q, k, v)


class PlainAttend(nn.Module):
    """`Attend` written out."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        return torch.softmax(scores.float(), dim=-1).to(v.dtype) @ v
