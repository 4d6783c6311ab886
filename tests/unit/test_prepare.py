"""Pre-flight: what is wrong is a message, whatever it is."""

import threading

import pytest

from nbtune.errors import SpecError
from nbtune.prepare import prepare_function


def test_a_function_that_cannot_be_pickled_is_a_message():
    lock = threading.Lock()

    def train(config):
        with lock:
            return {"acc": config["a"]}

    with pytest.raises(SpecError, match="train cannot travel to the trials: TypeError: cannot pickle"):
        prepare_function(train, {"a": 1}, {})
