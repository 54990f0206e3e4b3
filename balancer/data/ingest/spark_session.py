"""Spark session with the settings for a pass over files; its faults become one sentence."""

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from balancer.errors import EnvironmentFault, sentence_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PER_BATCH = 32
"""Number of files whose bytes a Python worker holds at a time."""
_OPEN_COST = 64 * 2**10
"""Cost of opening a file, in bytes; images are small, and the default puts only 30 in a task."""


def begin_session(master: str | None) -> tuple["SparkSession", bool]:
    """Return the running session, or start a new one.

    Args:
        master: Spark master, such as `local[4]` or `spark://host:7077`; None: all cores of this
            machine, or what `spark-submit` was given.

    Returns:
        The session, and whether it is new.

    Raises:
        EnvironmentFault: Spark or Java is missing, or the master does not answer.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise EnvironmentFault(
            "--engine spark needs the package pyspark, which is not installed; "
            "`pip install 'balancer[spark]'`."
        ) from None
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        raise EnvironmentFault(
            "--engine spark needs Java 17 or later, but there is no `java` here; install it, or "
            "set JAVA_HOME."
        )
    running = SparkSession.getActiveSession()
    if running is not None:
        return running, False
    # Otherwise its workers run the first `python3` on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = (
        SparkSession.builder.appName("balancer prepare")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.sql.inMemoryColumnarStorage.compressed", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(_PER_BATCH))
        .config("spark.sql.files.openCostInBytes", str(_OPEN_COST))
    )
    if master is not None:
        builder = builder.master(master)
    if master is None or master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1")
    with one_sentence(master or "local[*]"):
        return builder.getOrCreate(), True


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """Turn a fault of Spark, with its long traces, into a sentence.

    Args:
        what: Archive or master that Spark works on.

    Raises:
        EnvironmentFault: Spark raised an exception.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        with warnings.catch_warnings():
            # The warning is about pandas, which is not used here: rows are Arrow.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support", FutureWarning)
            yield
    except (PySparkException, Py4JError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # The reason is in the last line of a Python trace, in the first of a Java trace.
        raised = [line for line in lines if line.startswith("balancer.errors.")]
        reason = sentence_of(Exception((raised or lines or [type(error).__name__])[0]))[:300]
        raise EnvironmentFault(
            f"Spark should have worked on {what}, but: {reason}; fix that, or use --engine local."
        ) from error
