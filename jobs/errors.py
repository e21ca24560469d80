"""The errors that a run can end with.

A message says what was being done, on which file or table, what was expected and observed, and the next step.
`ConfigError`, `InputDataError` and `QualityGateError` are permanent (a retry would meet the same fault);
`TransientError` is worth a retry.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class PersonalakeError(Exception):
    """Any fault that a person can act on; the command line prints it as one line."""


class ConfigError(PersonalakeError):
    """A setting or a configuration file is wrong."""


class InputDataError(PersonalakeError):
    """The data that was read is missing, unreadable or not what was declared."""


class QualityGateError(PersonalakeError):
    """A critical expectation failed, so nothing may pass on."""


class TransientError(PersonalakeError):
    """Something outside failed for the moment (a service, a network, a commit conflict)."""


def describe_faults(err: "ValidationError") -> str:
    """Put pydantic's findings into one line: where, and what is wrong."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in err.errors()
    )
