"""What can go wrong with a plate, as errors that say what, where and what to do.

    PlateError                  one sentence, and the place on the plate
      ConfigurationError        experiment.yaml or a plate map is at fault       (ValueError)  .problems: all of them
      RefusedNameError          a name that could leave its folder or break SQL  (ValueError)
      UnreadableImageError      an uploaded file is no usable image              (ValueError)
      StoredDataError           an object written by us contradicts its record   (ValueError)
        LostDataError           an object that a record names is damaged or gone
        SharedDataError         an object that all sites of a plate rest on is   (ValueError)  retryable
      ChangedObjectError        an object changed while it was being used        (OSError)     retryable
      StoreUnavailableError     the storage did not answer                       (OSError)     retryable
      ForbiddenFileError        a file or folder may not be read                 (PermissionError)
      PlacementError            images may not be processed where they would be  (PermissionError)  retryable
      CrashedSiteError          a site's kernels ended their process             (RuntimeError)
      MissingPartError          a program or service is not there                (RuntimeError)
      SpentBudgetError          a budget is used up and sites are left to do     (RuntimeError)
      RefusedLoadError          the warehouse cannot take a published table      (ValueError)
        SchemaDriftError        a table in the warehouse contradicts ours
      WarehouseUnavailableError the warehouse did not answer                     (OSError)     retryable

Caller's mistakes in kernels stay ValueError and TypeError. One positional message, the rest keywords with
defaults, so that every error survives pickling between workers.
"""

from __future__ import annotations

from imaging.time_points import split_site


class PlateError(Exception):
    """Something is wrong with a plate, an experiment or what serves them.

    Parameters
    ----------
    message
        One sentence: what, the rule, what to do.
    experiment, plate, well, site, channel, key
        The place, as far as it is known; ``site`` 0 means no site.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        experiment: str = "",
        plate: str = "",
        well: str = "",
        site: int = 0,
        channel: str = "",
        key: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.experiment, self.plate, self.well = experiment, plate, well
        self.site, self.channel, self.key = site, channel, key

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, {k: v for k, v in self.__dict__.items() if k != "message"})

    @property
    def place(self) -> str:
        """The place in words, e.g. ``experiment A, plate P1, well B03, site 2, channel DNA``; may be empty."""
        named = [
            ("experiment", self.experiment),
            ("plate", self.plate),
            ("well", self.well),
            *zip(("site", "time point"), self._site, strict=False),
            ("channel", self.channel),
            ("file", self.key),
        ]
        return ", ".join(f"{what} {value}" for what, value in named if value)

    @property
    def _site(self) -> tuple[int, ...]:
        """The site, and its time point unless it is the first."""
        site, time_point = split_site(self.site)
        return (site, time_point) if time_point > 1 else (site,)

    def __str__(self) -> str:
        return f"{self.message} ({self.place})" if self.place else self.message


def _rebuild(kind: type[PlateError], message: str, state: dict[str, object]) -> PlateError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.message = message
    error.__dict__.update(state)
    return error


class ConfigurationError(PlateError, ValueError):
    """experiment.yaml or a plate map contradicts itself; ``problems`` holds every fault with its place."""

    def __init__(
        self, message: str, problems: tuple[str, ...] = (), *, experiment: str = "", plate: str = "", key: str = ""
    ) -> None:
        super().__init__(message, experiment=experiment, plate=plate, key=key)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n  - ".join([super().__str__(), *self.problems])


class RefusedNameError(PlateError, ValueError):
    """A name of an experiment, plate or file that the pipeline does not take."""


class UnreadableImageError(PlateError, ValueError):
    """An uploaded file that is not one plane of unsigned 8- or 16-bit pixels."""


class StoredDataError(PlateError, ValueError):
    """An object of ours that contradicts what is recorded of it."""


class LostDataError(StoredDataError):
    """An object that a site's manifest names is gone or damaged; the site can be made again."""


class SharedDataError(StoredDataError):
    """An object that all sites of a plate rest on, its pins or frozen field, is damaged or gone: no site's failure."""

    retryable = True


class ChangedObjectError(PlateError, OSError):
    """An object that was replaced between being listed and being read."""

    retryable = True


class StoreUnavailableError(PlateError, OSError):
    """The storage answered with a fault of its own."""

    retryable = True


class CrashedSiteError(PlateError, RuntimeError):
    """A site whose kernels ended the process that they ran in."""


class ForbiddenFileError(PlateError, PermissionError):
    """A file or folder that the pipeline's user may not read."""


class PlacementError(PlateError, PermissionError):
    """Images must not go to the place where they would be processed; elsewhere they can be."""

    retryable = True


class MissingPartError(PlateError, RuntimeError):
    """A program, service or piece of hardware that this command needs is not there."""


class SpentBudgetError(PlateError, RuntimeError):
    """A budget is used up before the plate is done; what is done stays."""


class RefusedLoadError(PlateError, ValueError):
    """A published table that the warehouse cannot take as it is; trying again is of no use."""


class SchemaDriftError(RefusedLoadError):
    """A table or view in the warehouse that contradicts the declared tables."""


class WarehouseUnavailableError(PlateError, OSError):
    """The warehouse did not answer, or had no room for a job."""

    retryable = True
