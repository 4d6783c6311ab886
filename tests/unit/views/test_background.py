"""The queue of calls on a thread of its own."""

import subprocess
import sys
import threading

from nbtune.views.base.background import BackgroundQueue


def test_calls_run_in_order_on_one_thread_at_a_time():
    work, done, names, all_done = BackgroundQueue("nbtune-test"), [], set(), threading.Event()

    def do(number):
        names.add(threading.current_thread().name)
        done.append(number)
        if number == 199:
            all_done.set()

    for number in range(200):
        work.submit(lambda number=number: do(number))
    assert all_done.wait(10)
    assert done == list(range(200))
    assert names == {"nbtune-test"}
    again, go = threading.Event(), threading.Event()
    work.submit(lambda: (again.set(), go.wait(10)))
    assert again.wait(10)
    assert not work.idle
    go.set()
    while not work.idle:
        threading.Event().wait(0.005)


def test_a_hanging_call_does_not_prevent_exit():
    code = """
import threading
from nbtune.views.base.background import BackgroundQueue
begun = threading.Event()
work = BackgroundQueue("nbtune-test")
work.submit(lambda: (begun.set(), threading.Event().wait()))
begun.wait(10)
print("ends")
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True).stdout == "ends\n"
