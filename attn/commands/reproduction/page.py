"""Page of results, which every reproduction ends with."""

import logging
from collections.abc import Callable
from typing import TypeVar

from attn.commands.report import report
from attn.commands.report_options import ReportOptions, page_command
from attn.commands.reproduction.reproduce import TABLES
from attn.commands.reproduction.reproduce_options import TablesOptions
from attn.errors import UsageError
from attn.storage.location import Location

log = logging.getLogger(__name__)

Options = TypeVar("Options", bound=TablesOptions)
PAGE = "report.html"


def with_page(reproduce: Callable[[Options], int]) -> Callable[[Options], int]:
    """Return a reproduction that also writes `report.html` beside its tables.

    A page that cannot be written leaves the exit code as it is, because the tables are the result.

    Args:
        reproduce: reproduction of one paper, which returns the exit code.
    """

    def job(options: Options) -> int:
        code = reproduce(options)
        folder = Location.at(options.out)
        if options.dry_run or not (folder / f"{TABLES}.json").exists():
            return code
        page = (folder / PAGE).url
        try:
            report(ReportOptions(runs=(options.out,), out=page))
            log.info("%s; open it in a browser", page)
        except UsageError as error:
            log.warning("no page: %s Then run %s", error, page_command(options.out))
        return code

    return job
