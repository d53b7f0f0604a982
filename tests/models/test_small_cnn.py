import torch
from torch import nn

from attn.models.small_cnn import SmallCnn


def test_112_pixels_become_7_by_7_cells():
    net = SmallCnn(8).eval()
    assert net.features(torch.zeros(1, 3, 112, 112)).shape == (1, 192, 7, 7)
    assert sum(isinstance(module, nn.Conv2d) for module in net.modules()) == 7


def test_a_cell_sees_87_pixels_and_nothing_else():
    net = SmallCnn(8).double().eval()
    images = torch.rand(1, 3, 224, 224, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net.features(images)[0, :, 6, 6].sum(), images)
    seen = gradient.abs().sum(dim=(0, 1)).nonzero()
    assert (seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist() == [87, 87]
    assert ((seen.amax(dim=0) + seen.amin(dim=0)) / 2).tolist() == [96, 96]


def test_learns_to_tell_stripes_apart():
    torch.manual_seed(0)
    net, generator = SmallCnn(2), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(2, (16,), generator=generator)
        stripes = (torch.arange(48) // 4 % 2).float().expand(48, 48)
        images = torch.stack([stripes if label else stripes.T for label in labels])[:, None].repeat(1, 3, 1, 1)
        return images + torch.randn(images.shape, generator=generator), labels

    for _ in range(15):
        images, labels = batch()
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, labels = batch()
    assert (net.eval()(images).argmax(dim=1) == labels).all()
