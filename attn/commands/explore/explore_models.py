"""Methods that the explorer shows: those that need the store only, and models from files."""

from collections.abc import Sequence

from attn.commands.evaluate_methods import check_fits, split_name
from attn.errors import UsageError, some
from attn.models.clip_file import CLIP_CNN
from attn.schema import LOGITS, MAPS, OF_CLASSES
from attn.stages.clip_scoring import ClipAverage
from attn.stages.open_model import TrainedModel, open_model
from attn.stages.scoring import CnnVote, Named, Scorer, UnAtt
from attn.storage.error_messages import shown
from attn.storage.manifest import ClipManifest
from attn.storage.store import AttentionStore


def open_methods(urls: Sequence[str], store: AttentionStore) -> tuple[dict[str, Scorer], tuple[str, ...]]:
    """Return the methods by name, the store's own first, and the names of their classes.

    Args:
        urls: models as NAME=URL or URL.
        store: the store.

    Raises:
        UsageError: a model needs other maps or columns, or has other classes; or nothing can be shown.
    """
    rows, cols = store.manifest.map_shape
    methods: dict[str, Scorer] = {}
    if LOGITS in store.manifest.columns:
        own = ClipAverage() if isinstance(store.manifest, ClipManifest) else CnnVote()
        methods[own.name] = own
    if MAPS in store.manifest.columns:
        methods[UnAtt.name] = UnAtt(min(UnAtt.window, rows, cols))
    owner, names = shown(store.url), store.manifest.class_names
    for place, given in enumerate(urls):
        name, url = split_name(given, "--models")
        model = _opened(url, store)
        if not OF_CLASSES.intersection(store.manifest.columns) and not place:
            owner, names = shown(url), model.class_names  # such a store depends on no classes
        _check_classes(model, url, names, owner)
        scorer = model.scorer if name is None else Named(model.scorer, name)
        if scorer.name in methods:
            raise UsageError(f"--models {shown(url)}: another method is called {scorer.name}. Give NAME=URL.")
        methods[scorer.name] = scorer
    if not methods:
        raise UsageError(
            f"{shown(store.url)}: has neither logits nor maps. Give --models that score its "
            f"{' and '.join(store.manifest.columns)}, or run precompute again with --columns maps logits."
        )
    return methods, names


def _opened(url: str, store: AttentionStore) -> TrainedModel:
    flag, model = f"--models {shown(url)}", open_model(url)
    if (model.cnn is not None and model.method is None) or model.kind == CLIP_CNN.name:
        raise UsageError(f"{flag}: a CNN without a method of its own; its logits are in the store. Leave it out.")
    check_fits(model, flag, url, store)
    store.check_columns(model.scorer.columns)
    return model


def _check_classes(model: TrainedModel, url: str, names: tuple[str, ...], owner: str) -> None:
    if model.class_names != names:
        differing = sorted({*names} ^ {*model.class_names})
        raise UsageError(
            f"--models {shown(url)}: its classes are not those of {owner} "
            f"({f'not in both: {some(differing)}' if differing else 'in another order'}). Explore them separately."
        )
