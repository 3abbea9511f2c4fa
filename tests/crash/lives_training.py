"""A process that really trains, tunes, promotes and releases, with models small enough to be fitted in a blink."""

from functools import partial
from itertools import count

from lockstep.decisions import tune_threshold
from lockstep.registry import ModelTrained, Origin, Registry, ThresholdTuned, Version
from lockstep.release import promote, release
from lockstep.training import resolve_upstream, train_model
from tests.crash.lives import Worker
from tests.crash.nursery import Mark
from tests.training import shop

GROUP = shop.graph.group("shop")
MODELS = ("leaving", "planning", "filling", "buying", "advising")


def train_and_release(mark: Mark, uri: str, told: str, name: str) -> None:
    """Train every model of the shop anew, tune its thresholds, promote it; then release; for ever."""
    worker = Worker(mark, uri, told, name)
    registry = worker.registry
    for _ in count():
        for model in MODELS:
            worker.step("train", partial(train, registry, model))
            for threshold in shop.graph.thresholds_of(model):
                worker.step("tune", partial(tune, registry, threshold.name))
        for model in MODELS:
            worker.step("promote", partial(promote, registry, GROUP, model), (model,))
        worker.step("release", partial(release, registry, GROUP))


def train(registry: Registry, name: str, origin: Origin) -> Version[ModelTrained]:
    """Train a model again on the newest versions that it builds on."""
    state = registry.state()
    made = {above.name: state.model(above.name).digest for above in shop.graph.upstream(name)}
    training = train_model(
        registry,
        shop.graph,
        name,
        origin,
        snapshot=state.snapshot("shoppers"),
        upstream=resolve_upstream(shop.graph, name, state, made),
        force=True,
    )
    return training.version


def tune(registry: Registry, name: str, origin: Origin) -> Version[ThresholdTuned]:
    """Tune a threshold for the newest version of its model."""
    model = registry.state().model(shop.graph.model_of(name).name)
    return tune_threshold(registry, shop.graph, name, origin, model=model).version
