"""The experiments of this session: there as long as they run or somebody has them, and then let go."""

import gc
import weakref

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.launch import registry
from nbtune.results.experiment import Experiment
from nbtune.testing import Replay


class Held(Replay):
    """A recording that comes to its end when it is told to."""

    def read(self, since, timeout):
        if since >= self._chunks[-1].end:
            self._closed.wait(0.01)
            return []
        return super().read(since, timeout)

    def tell(self, *events):
        self._chunks += decode(encode(self._chunks[-1].end, list(events)))


def test_one_that_is_over_is_let_go_once_nobody_has_it():
    source = Held(decode(encode(0, [ExperimentUpdated(metadata={"status": "running", "path": "/kept/one"})])))
    experiment = Experiment(source)
    experiment.wait_for_events()
    registry.register(experiment)
    gone = weakref.ref(experiment)
    del experiment
    gc.collect()
    running = registry.running_experiments()
    assert list(running) == ["/kept/one"], "it runs, although no variable has it"
    experiment = running.pop("/kept/one")
    assert registry.lookup("/kept/one") is experiment

    source.tell(ExperimentUpdated(metadata={"status": "finished"}))
    experiment.wait(10)
    assert registry.running_experiments() == {}
    assert registry.lookup("/kept/one") is experiment, "somebody still has it"
    for _ in range(200):  # its reader may just be leaving
        experiment = None
        gc.collect()
        if gone() is None:
            break
    assert gone() is None
    assert registry.lookup("/kept/one") is None


def test_of_two_with_one_path_the_later_counts():
    events = [ExperimentUpdated(metadata={"status": "finished", "path": "/kept/two"})]
    one, two = (Experiment(Replay(decode(encode(0, events)))).wait(10) for _ in range(2))
    registry.register(one)
    registry.register(two)
    assert registry.lookup("/kept/two") is two
    assert registry.lookup("/kept/three") is None
