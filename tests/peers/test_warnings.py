"""A warning of lehr is an error in these tests, also where it is placed in its caller."""

import warnings

import pytest


def warn_from(module):
    """Warn from code of `module`, with the stack level that places it in its caller: here."""
    scope = {"__name__": module, "warn": warnings.warn}
    exec("def give():\n    warn('told', stacklevel=2)", scope)
    scope["give"]()


def test_a_warning_of_lehr_is_raised_in_the_host():
    with pytest.raises(UserWarning, match="told"):
        warn_from("lehr.scheduler")


def test_a_warning_of_a_host_is_not():
    warn_from("lightning.pytorch")


def test_a_warning_that_is_expected_can_be_caught():
    with pytest.warns(UserWarning, match="told"):
        warn_from("lehr.scheduler")
