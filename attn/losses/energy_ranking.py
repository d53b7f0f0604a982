"""Energy ranking loss: the map of the true class must exceed that of a false class by a margin."""

import torch
from jaxtyping import Float
from torch import Tensor


def energy_ranking_loss(
    false_energy: Float[Tensor, "*batch"], true_energy: Float[Tensor, "*batch"], *, margin: float = 1.0
) -> Float[Tensor, "*batch"]:
    """Hinge loss on the difference of two energies of the same frame; one value per sample.

        ELoss = max{0, E_net(F, c_fa) - E_net(F, c_gt) + m}

    Only differences count, so adding a constant to all energies changes nothing; therefore the energy head has no bias.
    If the margin is met, loss and gradient are zero; otherwise the gradients are +1 and -1.

    Args:
        false_energy: energy of a class that is not the frame's.
        true_energy: energy of the frame's class.
        margin: m, in units of energy, above 0.

    Source: Li et al. 2017, section 3.4.1, Eq. 6.

    Example:
        >>> energy_ranking_loss(false_energy=torch.tensor([-2.0, 0.0, 2.0]), true_energy=torch.zeros(3))
        tensor([0., 1., 3.])
    """
    return torch.relu(false_energy - true_energy + margin)
