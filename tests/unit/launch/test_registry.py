"""nbtune.launch.registry: experiments are registered while they run or are referenced, and then released."""

import gc
import weakref

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.launch import registry
from nbtune.results.experiment import Experiment
from nbtune.testing import Replay


class OpenReplay(Replay):
    """A recording to which events can be added."""

    def read(self, since, timeout):
        if since >= self._chunks[-1].end:
            self._closed.wait(0.01)
            return []
        return super().read(since, timeout)

    def append(self, *events):
        self._chunks += decode(encode(self._chunks[-1].end, list(events)))


def test_an_experiment_that_is_over_is_released_without_references():
    source = OpenReplay(decode(encode(0, [ExperimentUpdated(metadata={"status": "running", "path": "/kept/one"})])))
    experiment = Experiment(source)
    experiment.wait_for_events()
    registry.register(experiment)
    reference = weakref.ref(experiment)
    del experiment
    gc.collect()
    running = registry.running_experiments()
    assert list(running) == ["/kept/one"], "a running experiment was released"
    experiment = running.pop("/kept/one")
    assert registry.lookup("/kept/one") is experiment

    source.append(ExperimentUpdated(metadata={"status": "finished"}))
    experiment.wait(10)
    assert registry.running_experiments() == {}
    assert registry.lookup("/kept/one") is experiment, "a referenced experiment was released"
    for _ in range(200):  # its reading thread may still hold it for a moment
        experiment = None
        gc.collect()
        if reference() is None:
            break
    assert reference() is None
    assert registry.lookup("/kept/one") is None


def test_a_later_experiment_replaces_one_with_the_same_path():
    events = [ExperimentUpdated(metadata={"status": "finished", "path": "/kept/two"})]
    one, two = (Experiment(Replay(decode(encode(0, events)))).wait(10) for _ in range(2))
    registry.register(one)
    registry.register(two)
    assert registry.lookup("/kept/two") is two
    assert registry.lookup("/kept/three") is None
