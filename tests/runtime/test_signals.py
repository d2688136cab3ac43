"""Signals that end a command: how they arrive."""

import signal
import sys
import time
from types import ModuleType

import pytest

from restore.runtime.signals import interruptible, stop_signals


class Signalling:
    """A loader of a module whose import takes a moment, in which a signal comes."""

    @staticmethod
    def create_module(spec):
        return ModuleType(spec.name)

    @staticmethod
    def exec_module(module):
        signal.raise_signal(signal.SIGTERM)
        module.whole = True


@pytest.fixture
def slow_module(monkeypatch):
    from importlib.machinery import ModuleSpec

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return ModuleSpec(name, Signalling()) if name == "a_slow_module" else None

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    yield "a_slow_module"
    sys.modules.pop("a_slow_module", None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_the_handlers_are_put_back(number):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    after = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    assert before == after


def test_a_signal_waits_for_the_end_of_an_import(slow_module):
    with pytest.raises(KeyboardInterrupt), interruptible():
        __import__(slow_module)
        assert sys.modules[slow_module].whole
        time.sleep(5)
        pytest.fail("the signal was lost")


def test_a_signal_that_waited_until_the_end_comes_there(slow_module):
    with pytest.raises(KeyboardInterrupt), interruptible():
        __import__(slow_module)
        raise ValueError("before the signal could come")


@pytest.mark.parametrize("is_ignored", [True, False])
def test_an_interrupt_that_is_ignored_does_not_stop_a_run(is_ignored):
    handler = signal.SIG_IGN if is_ignored else signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)
    try:
        with stop_signals() as stop_asked:
            signal.raise_signal(signal.SIGINT)
            assert stop_asked() is not is_ignored
            assert (signal.getsignal(signal.SIGINT) is signal.SIG_IGN) is is_ignored
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
