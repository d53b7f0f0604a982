"""EnergyNet: a learned energy of an attention map and its class name, in place of the largest window sum."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from attn.window_energy import window_energy


class Embedded(NamedTuple):
    """Output of EnergyNet.

    Attributes:
        embedding: f; entries may be negative.
        energy: E_net, the evidence of the map for its class.
    """

    embedding: Float[Tensor, "*batch dim"]
    energy: Float[Tensor, "*batch"]


class EnergyNet(nn.Module):
    """Two fully connected layers with a ReLU between them, followed by a linear energy head.

        f(V_L, V_c) = W2 · ReLU(W1 · [V_L / scale ; V_c] + b1) + b2        E_net = W_f · f

    A residual network adds the learned energy to the window energy. W_f is initialised to zero, so an untrained network
    ranks classes as UnAtt does, and training on few labels starts from that ranking.

        E_net = E_window(L) / residual_scale + W_f · f

    The four branches of the Siamese network are this module, called on four maps. W1 is stored as two layers, one for
    the map and one for the class, so that the class part is computed once per class instead of once per map.

    Args:
        concept_vectors: V_c of every class; a buffer, saved with the weights and never trained.
        map_shape: H and W.
        hidden_dim: width of the first layer.
        embedding_dim: d.
        map_scale: divisor of all maps. One number for all, because scaling each map separately would remove the
            differences between them.
        normalise_embedding: normalise f to length 1 before the energy head.
        residual: add the learned energy to the window energy.
        residual_scale: divisor of all window energies; used by residual networks only.
        window: side of the window, in map cells; at most the smaller side of the map.

    Source: Li et al. 2017, section 3.4, Eqs. 4 and 5. Differs: the paper does not specify how V_L and V_c are joined
    (here: concatenated), the hidden width or the scaling of maps, and its network is not residual.
    """

    concept_vectors: Tensor
    map_scale: Tensor
    residual_scale: Tensor | None

    def __init__(
        self,
        concept_vectors: Float[Tensor, "cls word"],
        map_shape: tuple[int, int],
        *,
        hidden_dim: int = 128,
        embedding_dim: int = 64,
        map_scale: float = 1.0,
        normalise_embedding: bool = False,
        residual: bool = False,
        residual_scale: float = 1.0,
        window: int = 3,
    ):
        super().__init__()
        self.map_shape, self.window, self.normalise_embedding = map_shape, window, normalise_embedding
        map_cells = map_shape[0] * map_shape[1]
        self.register_buffer("concept_vectors", concept_vectors.detach().clone().float())
        self.register_buffer("map_scale", torch.tensor(map_scale))
        # None for networks without a residual, so that their files need no such entry.
        self.register_buffer("residual_scale", torch.tensor(residual_scale) if residual else None)
        joined = nn.Linear(map_cells + concept_vectors.shape[1], hidden_dim)
        self.map_layer = nn.Linear(map_cells, hidden_dim)
        self.concept_layer = nn.Linear(concept_vectors.shape[1], hidden_dim, bias=False)
        with torch.no_grad():  # initialised as one layer, because the range of the weights depends on the fan-in
            self.map_layer.weight.copy_(joined.weight[:, :map_cells])
            self.concept_layer.weight.copy_(joined.weight[:, map_cells:])
            self.map_layer.bias.copy_(joined.bias)
        self.embedding_layer = nn.Linear(hidden_dim, embedding_dim)
        self.energy_head = nn.Linear(embedding_dim, 1, bias=False)
        if residual:
            nn.init.zeros_(self.energy_head.weight)

    @property
    def residual(self) -> bool:
        """True if the learned energy is added to the window energy."""
        return self.residual_scale is not None

    def forward(
        self, map_vectors: Float[Tensor, "*batch cell"], classes: Int[Tensor, "*batch"], *, with_start: bool = True
    ) -> Embedded:
        """Embeddings and energies of single maps.

        Args:
            map_vectors: V_L, flattened raw maps.
            classes: class id of each map.
            with_start: add `start_energy`; False if the caller has computed it already.
        """
        found = self._embedded(self.hidden(map_vectors, classes))
        return self._started(found, map_vectors) if with_start else found

    def energies(self, maps: Float[Tensor, "frame cls row col"]) -> Float[Tensor, "frame cls"]:
        """Energies of a batch of frames with one map per class."""
        vectors = maps.flatten(2)
        return self._started(self._embedded(self._of_maps(vectors).add_(self._of_concepts()).relu_()), vectors).energy

    def start_energy(self, map_vectors: Float[Tensor, "*batch cell"]) -> Float[Tensor, "*batch"]:
        """E_window / residual_scale, which does not depend on the weights; zeros if the network is not residual."""
        vectors = map_vectors.to(self.map_scale.dtype)
        if self.residual_scale is None:
            return vectors.new_zeros(vectors.shape[:-1])
        return window_energy(vectors.unflatten(-1, self.map_shape), window=self.window) / self.residual_scale

    def hidden(
        self, map_vectors: Float[Tensor, "*batch cell"], classes: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch hidden"]:
        """Output of the first layer, after the ReLU."""
        return self._of_maps(map_vectors).add_(F.embedding(classes, self._of_concepts())).relu_()

    @torch.no_grad()
    def centre(self, mean_hidden: Float[Tensor, "hidden"]) -> None:
        """Set b2 = -W2 · mean_hidden, so that the mean embedding (before normalisation) is zero.

        Rectified maps are similar to each other, so without centring all initial embeddings point in one direction, and
        cosine distances between them carry little information. The energies of all classes shift by the same constant.

        Args:
            mean_hidden: mean of the hidden layer over a sample of maps.
        """
        self.embedding_layer.bias.copy_(-(self.embedding_layer.weight @ mean_hidden))

    def _of_maps(self, map_vectors: Float[Tensor, "*batch cell"]) -> Float[Tensor, "*batch hidden"]:
        # Scaling the weights is equivalent to scaling the maps, and cheaper.
        weight = self.map_layer.weight / self.map_scale
        return F.linear(map_vectors.to(weight.dtype), weight, self.map_layer.bias)

    def _of_concepts(self) -> Float[Tensor, "cls hidden"]:
        return self.concept_layer(self.concept_vectors)

    def _started(self, found: Embedded, map_vectors: Float[Tensor, "*batch cell"]) -> Embedded:
        return found._replace(energy=found.energy + self.start_energy(map_vectors)) if self.residual else found

    def _embedded(self, hidden: Float[Tensor, "*batch hidden"]) -> Embedded:
        embedding = self.embedding_layer(hidden)
        if self.normalise_embedding:
            embedding = F.normalize(embedding, dim=-1)
        return Embedded(embedding, self.energy_head(embedding).squeeze(-1))
