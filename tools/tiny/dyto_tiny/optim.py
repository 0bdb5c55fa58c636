"""Muon for matrices, AdamW for everything else, in one optimiser whose state is plain tensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

NS_STEPS = 5
MOMENTUM = 0.95
BETAS = (0.9, 0.98)


def orthogonalize(g: Tensor) -> Tensor:
    """Push the singular values of a stack of matrices towards 1 by Newton-Schulz iteration.

    Args:
        g: (n, rows, columns).

    Returns:
        The same shape, bfloat16.

    Source:
        Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(NS_STEPS):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Muon:
    """Muon on the matrices of transformer layers and AdamW on embeddings, heads, norms and biases.

    Args:
        modules: Whose parameters are trained.
        lr: Peak learning rate of the matrices.
        adam_lr: Peak learning rate of the rest.
        decay: Weight decay, of the matrices only.

    Example:
        >>> layer = nn.Sequential(nn.Linear(4, 4, bias=False))
        >>> optimizer = Muon([layer])
        >>> layer(torch.ones(1, 4)).sum().backward()
        >>> before = layer[0].weight.clone()
        >>> optimizer.step(scale=1.0)
        >>> bool((layer[0].weight != before).any())
        True
    """

    def __init__(
        self, modules: Iterable[nn.Module], lr: float = 2e-3, adam_lr: float = 2e-3, decay: float = 0.01
    ) -> None:
        self.lr, self.adam_lr, self.decay = lr, adam_lr, decay
        named = list(itertools.chain.from_iterable(module.named_parameters() for module in modules))
        trained = [(name, p) for name, p in named if p.requires_grad]
        self.matrices = [p for name, p in trained if p.ndim == 2 and _is_hidden(name)]
        self.others = [p for name, p in trained if not (p.ndim == 2 and _is_hidden(name))]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.first = [torch.zeros_like(p) for p in self.others]
        self.second = [torch.zeros_like(p) for p in self.others]
        self.count = 0

    def state(self) -> dict[str, Tensor]:
        """All moments by name; the tensors themselves, so a loader copies into them."""
        groups = {"momentum": self.momentum, "first": self.first, "second": self.second}
        return {f"{name}.{i}": t for name, group in groups.items() for i, t in enumerate(group)}

    @torch.no_grad()
    def step(self, scale: float, clip: float = 1.0) -> None:
        """Update the weights and forget the gradients.

        Args:
            scale: Fraction of the peak learning rate.
            clip: Greatest norm of the gradient.
        """
        self.count += 1
        everything = [*self.matrices, *self.others]
        nn.utils.clip_grad_norm_(everything, clip)
        self._adam(scale, [_gradient(p) for p in self.others])
        self._muon(scale)
        for p in everything:
            p.grad = None

    def _adam(self, scale: float, grads: list[Tensor]) -> None:
        torch._foreach_lerp_(self.first, grads, 1 - BETAS[0])
        torch._foreach_mul_(self.second, BETAS[1])
        torch._foreach_addcmul_(self.second, grads, grads, 1 - BETAS[1])
        root = torch._foreach_div(self.second, 1 - BETAS[1] ** self.count)
        torch._foreach_sqrt_(root)
        torch._foreach_add_(root, 1e-8)
        rate = -self.adam_lr * scale / (1 - BETAS[0] ** self.count)
        torch._foreach_addcdiv_(list[Tensor](self.others), self.first, root, rate)

    def _muon(self, scale: float) -> None:
        shapes: dict[torch.Size, list[int]] = {}
        for i, p in enumerate(self.matrices):
            shapes.setdefault(p.shape, []).append(i)
        for shape, members in shapes.items():
            grads = torch.stack([_gradient(self.matrices[i]) for i in members])
            moment = torch.stack([self.momentum[i] for i in members]).lerp_(grads, 1 - MOMENTUM)
            update = orthogonalize(grads.lerp(moment, MOMENTUM)).float()  # Nesterov
            rate = self.lr * scale * 0.2 * max(shape) ** 0.5
            for j, i in enumerate(members):
                self.momentum[i].copy_(moment[j])
                self.matrices[i].mul_(1 - self.lr * scale * self.decay).add_(update[j], alpha=-rate)


def _gradient(p: nn.Parameter) -> Tensor:
    """The gradient, zero where the loss did not reach the parameter."""
    return torch.zeros_like(p) if p.grad is None else p.grad


def _is_hidden(name: str) -> bool:
    return "layers." in name or name.startswith("linear_")
