"""Starts a run from the weights of another one, for fine-tuning."""

from lib.checkpoint import Checkpoint
from lib.errors import InputError
from lib.models.common.retrieval_model import RetrievalModel
from lib.weights import require_same_dtypes, shapes_of


def initialise(model: RetrievalModel, checkpoint: Checkpoint, path: str) -> list[str]:
    """Copy a checkpoint's tensors into ``model``, but for those of another size, which keep their
    fresh values.

    Returns the names and sizes of those, for the log. Raises InputError: a tensor of the model is
    missing in the checkpoint or the reverse, or none fits."""
    own = model.state_dict()
    expected, found = shapes_of(own), shapes_of(checkpoint.model)
    problems = [
        f"{what} {', '.join(sorted(names)[:5])}{' ...' if len(names) > 5 else ''}"
        for what, names in (
            ("lacks", expected.keys() - found.keys()),
            ("has besides", found.keys() - expected.keys()),
        )
        if names
    ]
    if problems:
        raise InputError(
            f"{path}: is of another model than this run's, and cannot be its train.init: it "
            f"{' and '.join(problems)}"
        )
    fitting = {name: t for name, t in checkpoint.model.items() if found[name] == expected[name]}
    if not any(own[name].dim() > 1 for name in fitting):
        raise InputError(f"{path}: no weight of it has the size of this run's")
    require_same_dtypes({name: own[name] for name in fitting}, fitting, f"{path}: does not fit")
    model.load_state_dict(fitting, strict=False)
    return [
        f"{name} {found[name]} instead of {expected[name]}" for name in own if name not in fitting
    ]
