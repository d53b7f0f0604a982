"""EnergyNet: a learned energy in place of the largest window sum, from a map and the name of its class."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from attn.window_energy import window_energy


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

    A residual network adds what is learnt to the window energy, and W_f is zero at first: until something is learnt,
    it ranks classes as UnAtt does, so few labels can only add to what none give.

        E_net = E_window(L) / residual_scale + W_f · f

    The four branches of the Siamese network are this one module, called on four maps. W1 is kept as its two parts,
    for the map and for the class: the second is then multiplied once per class instead of once per map.

    Args:
        concept_vectors: V_c of every class; kept with the weights, never learnt.
        map_shape: H and W.
        hidden_dim: width of the first layer.
        embedding_dim: d.
        map_scale: what maps are divided by, one number for all of them: scaling maps one by one would erase what is
            compared.
        normalise_embedding: give f length 1 before the energy head.
        residual: start from the window energy.
        residual_scale: what window energies are divided by, one number for all of them; of a residual network alone.
        window: side of the window, in map cells; at most the smaller side of the map.

    Source: Li et al. 2017, section 3.4, Eqs. 4 and 5. Differs: the paper does not say how V_L and V_c are joined (here:
    concatenated), nor the hidden width, nor how maps are scaled, and its network is not residual.
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
        # A file of a network that is not residual has no such number.
        self.register_buffer("residual_scale", torch.tensor(residual_scale) if residual else None)
        joined = nn.Linear(map_cells + concept_vectors.shape[1], hidden_dim)
        self.map_layer = nn.Linear(map_cells, hidden_dim)
        self.concept_layer = nn.Linear(concept_vectors.shape[1], hidden_dim, bias=False)
        with torch.no_grad():  # drawn as one layer, which its fan-in decides
            self.map_layer.weight.copy_(joined.weight[:, :map_cells])
            self.concept_layer.weight.copy_(joined.weight[:, map_cells:])
            self.map_layer.bias.copy_(joined.bias)
        self.embedding_layer = nn.Linear(hidden_dim, embedding_dim)
        self.energy_head = nn.Linear(embedding_dim, 1, bias=False)
        if residual:
            nn.init.zeros_(self.energy_head.weight)

    @property
    def residual(self) -> bool:
        """Whether energies start from the window energy."""
        return self.residual_scale is not None

    def forward(
        self, map_vectors: Float[Tensor, "*batch cell"], classes: Int[Tensor, "*batch"], *, with_start: bool = True
    ) -> Embedded:
        """Embeddings and energies of single maps.

        Args:
            map_vectors: V_L, flattened raw maps.
            classes: which class's map each is.
            with_start: add `start_energy`; False for who has it already.
        """
        found = self._embedded(self.hidden(map_vectors, classes))
        return self._started(found, map_vectors) if with_start else found

    def energies(self, maps: Float[Tensor, "frame cls row col"]) -> Float[Tensor, "frame cls"]:
        """Energies of the maps of all classes of some frames."""
        vectors = maps.flatten(2)
        return self._started(self._embedded(self._of_maps(vectors).add_(self._of_concepts()).relu_()), vectors).energy

    def start_energy(self, map_vectors: Float[Tensor, "*batch cell"]) -> Float[Tensor, "*batch"]:
        """E_window / residual_scale, which no weight changes; zeros if the network is not residual."""
        vectors = map_vectors.to(self.map_scale.dtype)
        if self.residual_scale is None:
            return vectors.new_zeros(vectors.shape[:-1])
        return window_energy(vectors.unflatten(-1, self.map_shape), window=self.window) / self.residual_scale

    def hidden(
        self, map_vectors: Float[Tensor, "*batch cell"], classes: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch hidden"]:
        """The first layer after its ReLU."""
        return self._of_maps(map_vectors).add_(F.embedding(classes, self._of_concepts())).relu_()

    @torch.no_grad()
    def centre(self, mean_hidden: Float[Tensor, "hidden"]) -> None:
        """Makes the mean embedding of some maps zero, before f gets its length: b2 = -W2 · mean of the hidden layer.

        Rectified maps have much in common, so without it all first embeddings point one way, and cosine distances say
        little. Energies of all classes change by the same number.

        Args:
            mean_hidden: over those maps.
        """
        self.embedding_layer.bias.copy_(-(self.embedding_layer.weight @ mean_hidden))

    def _of_maps(self, map_vectors: Float[Tensor, "*batch cell"]) -> Float[Tensor, "*batch hidden"]:
        # Scaling the few weights is scaling the many maps.
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
