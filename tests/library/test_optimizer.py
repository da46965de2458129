"""Muon against an SVD, against PyTorch's own, and inside a run that is killed."""
import pytest
import torch
from torch import nn

from gptlib.training.log import read
from gptlib.training.optimizer import Muon, build, orthogonalise
from tests.library.tiny_run import Tiny, main


@pytest.mark.parametrize("shape", [(5, 5), (4, 16), (16, 4), (3, 8, 24), (8, 12), (2, 33, 66), (1, 9)])
def test_orthogonalise_keeps_singular_vectors_and_levels_singular_values(shape):
    matrices = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    s = values / torch.linalg.matrix_norm(matrices)[..., None]
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    found = orthogonalise(matrices)
    torch.testing.assert_close(found, left @ torch.diag_embed(s) @ right, rtol=1e-5, atol=1e-6)
    assert found.dtype == torch.float64


def test_single_precision_and_singular_values_near_nothing_are_no_harm():
    """Squares of small singular values are lost in float32; the matrix itself is not."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, 24, dtype=torch.float64, generator=generator))[0] for n in (24, 96))
    matrix = left @ torch.diag(torch.logspace(0, -9, 24, dtype=torch.float64)) @ right.T
    exact, found = orthogonalise(matrix), orthogonalise(matrix.float())
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-3)
    assert torch.equal(orthogonalise(matrix, 0), matrix / (torch.linalg.matrix_norm(matrix) + 1e-7))


def test_muon_is_pytorchs_up_to_bf16_and_the_rest_is_adamw():
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(6, 32), nn.LayerNorm(32), nn.Linear(32, 6)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    split = [[p for p in theirs.parameters() if (p.dim() == 2) == flat] for flat in (True, False)]
    peers = [torch.optim.Muon(split[0], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
             torch.optim.AdamW(split[1], lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)]  # fmt: skip
    start = {name: p.detach().clone() for name, p in ours.named_parameters()}
    mine = Muon(ours, 0.01, 0.1, (0.9, 0.95))
    for _ in range(4):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        for optimizer in (mine, *peers):
            optimizer.step()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        moved, wanted = p - start[name], q - start[name]
        assert (moved - wanted).norm() < (0.02 if p.dim() == 2 else 1e-5) * wanted.norm(), name


def test_a_killed_run_with_muon_goes_on_bit_by_bit(tmp_path):
    main(str(tmp_path / "whole"), 14, optimizer="muon")
    main(str(tmp_path / "run"), 14, optimizer="muon")
    import shutil

    shutil.rmtree(tmp_path / "run/step-00000014")
    main(str(tmp_path / "run"), 14, optimizer="muon")
    assert read(tmp_path / "run/log.csv") == read(tmp_path / "whole/log.csv")


def test_what_cannot_be():
    tied = nn.ModuleList([nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)])
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match="without linear layers"):
        Muon(tied, 1e-3, 0.1, (0.9, 0.95))
    with pytest.raises(ValueError, match="adamw, muon, got 'sgd'"):
        build("sgd", Tiny(0), 1e-3, 0.1, (0.9, 0.95))
