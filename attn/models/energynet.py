"""EnergyNet: a learned energy in place of the largest window sum, from a map and the name of its class."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class Embedded(NamedTuple):
    """What the network makes of maps.

    Attributes:
        embedding: f, of either sign.
        energy: E_net, how strongly the map speaks for its class.
    """

    embedding: Float[Tensor, "*batch dim"]
    energy: Float[Tensor, "*batch"]


class EnergyNet(nn.Module):
    """Two fully connected layers with a ReLU between them, and a linear energy on top.

        f(V_L, V_c) = W2 · ReLU(W1 · [V_L / scale ; V_c] + b1) + b2        E_net = W_f · f

    The four branches of the Siamese network are this one module, called on four maps. W1 is kept as its two parts,
    for the map and for the class: the second is then multiplied once per class instead of once per map.

    Args:
        concept_vectors: V_c of every class; kept with the weights, never learnt.
        map_cells: H·W.
        hidden_dim: width of the first layer.
        embedding_dim: d.
        map_scale: what maps are divided by, one number for all of them: scaling maps one by one would erase what is
            compared.
        normalise_embedding: give f length 1 before the energy head.

    Source: Li et al. 2017, section 3.4, Eqs. 4 and 5. Differs: the paper does not say how V_L and V_c are joined (here:
    concatenated), nor the hidden width, nor how maps are scaled.
    """

    concept_vectors: Tensor
    map_scale: Tensor

    def __init__(
        self,
        concept_vectors: Float[Tensor, "cls word"],
        map_cells: int,
        *,
        hidden_dim: int = 128,
        embedding_dim: int = 64,
        map_scale: float = 1.0,
        normalise_embedding: bool = False,
    ):
        super().__init__()
        self.normalise_embedding = normalise_embedding
        self.register_buffer("concept_vectors", concept_vectors.detach().clone().float())
        self.register_buffer("map_scale", torch.tensor(map_scale))
        joined = nn.Linear(map_cells + concept_vectors.shape[1], hidden_dim)
        self.map_layer = nn.Linear(map_cells, hidden_dim)
        self.concept_layer = nn.Linear(concept_vectors.shape[1], hidden_dim, bias=False)
        with torch.no_grad():  # drawn as one layer, which its fan-in decides
            self.map_layer.weight.copy_(joined.weight[:, :map_cells])
            self.concept_layer.weight.copy_(joined.weight[:, map_cells:])
            self.map_layer.bias.copy_(joined.bias)
        self.embedding_layer = nn.Linear(hidden_dim, embedding_dim)
        self.energy_head = nn.Linear(embedding_dim, 1, bias=False)

    @property
    def map_cells(self) -> int:
        """Cells of the maps it takes."""
        return self.map_layer.in_features

    def forward(self, map_vectors: Float[Tensor, "*batch cell"], classes: Int[Tensor, "*batch"]) -> Embedded:
        """Embeddings and energies of single maps.

        Args:
            map_vectors: V_L, flattened raw maps.
            classes: which class's map each is.
        """
        return self._embedded(self._of_maps(map_vectors).add_(F.embedding(classes, self._of_concepts())))

    def energies(self, maps: Float[Tensor, "frame cls row col"]) -> Float[Tensor, "frame cls"]:
        """Energies of the maps of all classes of some frames."""
        return self._embedded(self._of_maps(maps.flatten(2)).add_(self._of_concepts())).energy

    def _of_maps(self, map_vectors: Float[Tensor, "*batch cell"]) -> Float[Tensor, "*batch hidden"]:
        # Scaling the few weights is scaling the many maps.
        weight = self.map_layer.weight / self.map_scale
        return F.linear(map_vectors.to(weight.dtype), weight, self.map_layer.bias)

    def _of_concepts(self) -> Float[Tensor, "cls hidden"]:
        return self.concept_layer(self.concept_vectors)

    def _embedded(self, hidden: Float[Tensor, "*batch hidden"]) -> Embedded:
        embedding = self.embedding_layer(hidden.relu_())
        if self.normalise_embedding:
            embedding = F.normalize(embedding, dim=-1)
        return Embedded(embedding, self.energy_head(embedding).squeeze(-1))
