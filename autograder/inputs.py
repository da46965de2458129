"""What checks make their inputs with: exact numbers written down, and numbers drawn from the generator of a check."""
import torch
from torch import Tensor

F64 = torch.float64


def real(rows: float | list) -> Tensor:
    """A float64 tensor of numbers."""
    return torch.tensor(rows, dtype=F64)


def boolean(rows: list) -> Tensor:
    """A boolean tensor of ones and zeros."""
    return torch.tensor(rows, dtype=torch.bool)


def normal(generator: torch.Generator, *shape: int, std: float = 1.0, dtype: torch.dtype = F64) -> Tensor:
    """Normal numbers of mean 0."""
    return std * torch.randn(*shape, generator=generator, dtype=dtype)


def whole(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both among them."""
    return int(torch.randint(low, high + 1, (), generator=generator))
