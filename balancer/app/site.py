"""Pages beside gradio's own: the judge, the studies, and the blinded readers; plain HTML."""

import functools
import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from balancer.app.cards import BANNER
from balancer.app.desk import Desk
from balancer.app.judge_room import SIDES, JudgeRoom, Upload
from balancer.app.reader_room import FEWEST, ReaderRoom
from balancer.app.study_list import find_workspaces, list_running, list_studies
from balancer.app.upload_folder import UploadFolder
from balancer.drawing.numbers import interval
from balancer.drawing.wording import WORDS
from balancer.errors import BalancerError, EnvironmentFault, sentence_of
from balancer.evaluation.readers import ANSWERS, csv_of, score

_MOST_FILES = 50_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Of pages from a workspace, which may have been made by others: they run no script."""
_TYPES = {"site.css": "text/css", "site.js": "text/javascript"}
_STATUS = {2: 400, 3: 404, 4: 409, 5: 503}
"""Exit code of an error to the status of its answer."""
_READERS = "/readers"


class Site:
    """The pages and what they keep.

    Args:
        desk: Workspace and index of the page.
        uploads: Folder for uploads.
        studies: Folder of workspaces to list.
    """

    def __init__(self, desk: Desk, uploads: UploadFolder, studies: Path | None) -> None:
        self._workspace, self._studies_folder = desk.workspace, studies
        self._judge = JudgeRoom(uploads.judged, uploads.limit)
        self._readers = ReaderRoom(desk.workspace, desk.index)
        self._limit = uploads.limit

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        read, write = ["GET"], ["POST"]
        return [
            Route("/site/{name}", self._asset, methods=read),
            Route("/studies", _guarded(self._studies), methods=read),
            Route("/studies/page/{key:path}", _guarded(self._study_page), methods=read),
            Route("/judge", _guarded(self._judge_form), methods=read),
            Route("/judge", self._judge_begin, methods=write),
            Route("/judge/{name}", _guarded(self._judge_state), methods=read),
            Route("/judge/{name}/page", _guarded(self._judge_page), methods=read),
            Route(_READERS, _guarded(self._reader_start), methods=read),
            Route(_READERS, self._reader_begin, methods=write),
            Route(_READERS + "/{name}", _guarded(self._reading), methods=read),
            Route(_READERS + "/{name}/csv", _guarded(self._reading_csv), methods=read),
            Route(_READERS + "/{name}/{place:int}", _guarded(self._picture), methods=read),
            Route(_READERS + "/{name}/{place:int}", self._answer, methods=write),
        ]

    def close(self) -> None:
        """Stop what is running."""
        self._judge.close()

    def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _TYPES:
            return PlainTextResponse("Not found", 404)
        return Response(_text(name), media_type=_TYPES[name])

    def _studies(self, request: Request) -> Response:
        found = find_workspaces(self._workspace, self._studies_folder)
        return _page(
            "studies.html",
            title="Studies",
            studies=list_studies(found),
            running=list_running(found),
            folder=self._studies_folder,
            words=WORDS,
        )

    def _study_page(self, request: Request) -> Response:
        found = list_studies(find_workspaces(self._workspace, self._studies_folder))
        pages = {one.key: one.page for one in found}
        return _foreign_page(pages.get(request.path_params["key"]))

    def _judge_form(self, request: Request) -> Response:
        return _page(
            "judge.html", title="Judge", busy=self._judge.is_busy, limit=self._limit // 10**6
        )

    async def _judge_begin(self, request: Request) -> Response:
        async with request.form(max_files=_MOST_FILES) as form:
            return await run_in_threadpool(_guarded(self._begin_judgement), form)

    def _begin_judgement(self, form: FormData) -> Response:
        sides = {side: [*_uploads(form, f"{side}-zip"), *_uploads(form, f"{side}-folder")]
                 for side in SIDES}  # fmt: skip
        name = self._judge.begin(sides, str(form.get("class", "")).strip())
        return RedirectResponse(f"/judge/{name}", 303)

    def _judge_state(self, request: Request) -> Response:
        name = request.path_params["name"]
        state = self._judge.state(name)
        return _page("judging.html", title="Judgement", name=name, state=state)

    def _judge_page(self, request: Request) -> Response:
        return _foreign_page(self._judge.state(request.path_params["name"]).page)

    def _reader_start(self, request: Request) -> Response:
        try:
            classes, fault = self._readers.classes(), ""
        except BalancerError as error:
            classes, fault = {}, sentence_of(error)
        return _page(
            "readers.html",
            title="Readers",
            classes=classes,
            fault=fault,
            fewest=FEWEST,
            readings=[(name, one, score(one)) for name, one in self._readers.readings()],
        )

    async def _reader_begin(self, request: Request) -> Response:
        async with request.form() as form:
            return await run_in_threadpool(_guarded(self._begin_reading), form)

    def _begin_reading(self, form: FormData) -> Response:
        count = str(form.get("count", ""))
        name = self._readers.begin(
            str(form.get("reader", "")),
            str(form.get("class", "")),
            int(count) if count.isdecimal() else 0,
        )
        return RedirectResponse(f"{_READERS}/{name}", 303)

    def _reading(self, request: Request) -> Response:
        name = request.path_params["name"]
        reading = self._readers.open(name)
        if reading.next is None:
            result = score(reading)
            return _page("read.html", title="Reading", name=name, result=result, reading=reading)
        return _page("trial.html", title="Reading", name=name, reading=reading, answers=ANSWERS)

    def _reading_csv(self, request: Request) -> Response:
        name = request.path_params["name"]
        reading = self._readers.open(name)
        if reading.next is not None:
            raise EnvironmentFault(
                "The file of a reading tells which images are generated; answer all of them first."
            )
        return Response(
            csv_of(reading),
            media_type="text/csv",
            headers={"content-disposition": 'attachment; filename="reading.csv"'},
        )

    def _picture(self, request: Request) -> Response:
        content = self._readers.picture(request.path_params["name"], request.path_params["place"])
        return Response(content, media_type="image/png", headers={"cache-control": "no-store"})

    async def _answer(self, request: Request) -> Response:
        async with request.form() as form:
            given = str(form.get("answer", ""))
        path = request.path_params

        def note(answer: int) -> Response:
            self._readers.answer(path["name"], path["place"], answer)
            return RedirectResponse(f"{_READERS}/{path['name']}", 303)

        return await run_in_threadpool(_guarded(note), int(given) if given.isdecimal() else 0)


def _guarded(answer: Callable[[Any], Response]) -> Callable[[Any], Response]:
    """Answer a fault that a user can meet with its sentence."""

    @functools.wraps(answer)
    def guarded(asked: Any) -> Response:
        try:
            return answer(asked)
        except BalancerError as error:
            status = _STATUS.get(error.exit_code, 500)
            return _page(
                "fault.html", title="Not possible", sentence=sentence_of(error), status=status
            )

    return guarded


def _uploads(form: FormData, name: str) -> list[Upload]:
    """Return the files of a field; a field without a choice has one without a name."""
    return [
        (one.filename, one.file)
        for one in form.getlist(name)
        if isinstance(one, UploadFile) and one.filename
    ]


def _foreign_page(path: Path | None) -> Response:
    if path is None or not path.is_file():
        return _page("fault.html", title="Not found", sentence="This page does not exist, or was "
                     "removed.", status=404)  # fmt: skip
    return HTMLResponse(
        path.read_text(encoding="utf-8"), headers={"content-security-policy": _PAGE_POLICY}
    )


def _page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    content = _environment.get_template(template).render(banner=BANNER, **values)
    headers = {"content-security-policy": _POLICY, "cache-control": "no-store"}
    return HTMLResponse(content, status, headers=headers)


def _text(name: str) -> str:
    """Return a file of the pages; their style begins with that of the reports."""
    own = (importlib.resources.files("balancer.app") / "templates" / name).read_text("utf-8")
    if name != "site.css":
        return own
    reports = importlib.resources.files("balancer.report") / "templates" / "style.css"
    return reports.read_text("utf-8") + own


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("balancer.app"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["interval"] = interval
