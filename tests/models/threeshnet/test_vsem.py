"""VSeM beside its plain equations; recorded outputs are compared in test_model.py."""

import torch

from lib.models.threeshnet.vsem import VSeM


def test_it_is_the_plain_form():
    torch.manual_seed(0)
    branch = VSeM(embed_size=8, categories=5).eval()
    projected, semantic = torch.randn(2, 4, 8), torch.rand(2, 5, 7, 7)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    with torch.no_grad():
        found = branch(projected, mask, semantic)
        gates = branch.agreement(projected, mask, semantic)
        assert gates[~mask].abs().sum() == 0
        for image in range(2):
            query = branch.query_embedding(semantic[image].mean(dim=(1, 2)))[None]
            query = (query + branch.query_residual(query))[0]
            for row in range(int(mask[image].sum())):
                region = (
                    projected[image, row] + branch.region_residual(projected[image, row][None])[0]
                )
                share = torch.sigmoid(region @ query / 8**0.5)
                torch.testing.assert_close(gates[image, row], share)
                gated = share * region * torch.tanh(branch.gate(share * region))
                expected = branch.output(gated + query).relu()
                torch.testing.assert_close(found[image, row], expected)
