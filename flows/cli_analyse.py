"""`platestream analyse` and `exclude`: from wells to hits, recipes side by side, and what a person decides of wells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, open_existing
from flows.printed_rows import Format, open_console, plain, print_rows, printable
from imaging.sentences import counted

if TYPE_CHECKING:
    from flows.settings import Settings
    from imaging.analyses.analysis import Analysis
    from imaging.analyses.board import Board
    from imaging.analyses.recipe import AnalysisRecipe
    from imaging.analyses.reconcile import Outcome
    from imaging.store import Store

_FOREIGN = "Profiles made elsewhere"
_NAMED = 5


def analyse(
    experiment: str = typer.Argument(help="Name of the experiment."),
    more: list[Path] = typer.Argument(None, metavar="[RECIPE]...", help="Further recipes after --recipes."),
    recipes: list[Path] = typer.Option(
        None, "--recipes", "-r", help="Files of analysis recipes to compare.", show_default="the experiment's own"
    ),
    profiles: Path = typer.Option(
        None, "--profiles", help="CSV or Parquet, one row per well; or a plate reader's file.", rich_help_panel=_FOREIGN
    ),
    annotations: list[Path] = typer.Option(
        None, "--annotations", help="Tables that say what wells or treatments are.", rich_help_panel=_FOREIGN
    ),
    output: Path = typer.Option(None, "--output", "-o", help="Folder for the tables and the page of the comparison."),
    as_json: bool = typer.Option(False, "--json", help="Print the leaderboard as JSON."),
    again: bool = typer.Option(False, "--again", help="Analyse also what failed before."),
    store: str = STORE,
) -> None:
    """Analyse an experiment and show its recipes side by side: replicability, mechanisms, mixing, hits gained and lost.

    Without --recipes the experiment is brought up to its publications, and the result recorded, as the service does.
    """
    files = [*(recipes or ()), *(more or ())]
    if profiles is not None:
        board = _compare(experiment, _read_recipes(files), _foreign(experiment, profiles, annotations or []), output)
    else:
        _refuse_annotations(annotations)
        root = _open(store)
        board = (
            _reconcile(root, experiment, output, again=again)
            if not files
            else _published(root, experiment, files, output)
        )
    _print(board, as_json=as_json)
    if output is not None:
        _write_board(experiment, board, output)
    if all(row.get("reason") for row in board.rows):
        raise typer.Exit(1)


def exclude(
    experiment: str = typer.Argument(help="Name of the experiment."),
    plate: str = typer.Argument(help="Name of the plate."),
    well: str = typer.Argument("", help="The well, such as B03.", show_default="the whole plate"),
    because: str = typer.Option("", "--because", help="Why; recorded, and shown beside the result."),
    by: str = typer.Option("", "--by", help="Who decides.", show_default="your user name"),
    keep: bool = typer.Option(False, "--keep", help="Have it take part whatever the rules say, instead."),
    store: str = STORE,
) -> None:
    """Leave a well or a plate out of the experiment's analyses, as a person's decision; with --keep, take it in.

    A decision stands until somebody decides again about the same well or plate. Services that run analyse the
    experiment anew; platestream analyse does so at once.
    """
    from flows.cli_decide import current_user
    from flows.settings import Settings
    from imaging.analyses.numbered import decide
    from imaging.names import check_name

    settings = Settings(store=store) if store else Settings()
    root = open_existing(settings)
    check_name("experiment", experiment)
    check_name("plate", plate)
    _refuse_unknown(root, experiment, plate, well)
    said = decide(root, experiment, plate, well, excluded=not keep, by=by or current_user(), because=because)
    what = f"{said.well} of {plate}" if said.well else plate
    does = "takes no part" if said.excluded else "takes part, whatever the rules say"
    typer.echo(f"{what} {does} in analyses of {experiment}, decided by {said.by}: {said.because}")
    if _wake(settings, experiment, f"{said.by} decided about {what}"):
        typer.echo("a run is asked for, which analyses the experiment anew")
    else:
        typer.echo(f"it counts from the next analysis on; platestream analyse {experiment} makes it now")


COMMANDS = (analyse, exclude)


def _open(store: str) -> Store:
    from flows.settings import Settings

    return open_existing(Settings(store=store) if store else Settings())


def _refuse_annotations(annotations: list[Path] | None) -> None:
    from imaging.errors import ConfigurationError

    if annotations:
        raise ConfigurationError(
            "--annotations belong to --profiles; of published plates the plate map says what wells are"
        )


def _wake(settings: Settings, experiment: str, reason: str) -> bool:
    """Ask for a run of process-experiment, where a server answers."""
    from flows.events import ExperimentChanged, emit
    from flows.server import is_healthy
    from imaging.errors import MissingPartError

    if not is_healthy(settings.api_url):
        return False
    try:
        emit(settings.api_url, ExperimentChanged(experiment=experiment, reason=reason), auth=settings.auth)
    except MissingPartError:
        return False
    return True


def _refuse_unknown(store: Store, experiment: str, plate: str, well: str) -> None:
    from imaging.declared import did_you_mean
    from imaging.errors import ConfigurationError
    from imaging.names import plate_folders

    there = plate_folders(store, experiment)
    if plate not in there:
        hint = did_you_mean(plate, there) if there else "the experiment has no plate with results"
        raise ConfigurationError(f"there is no plate {plate!r}; {hint}", experiment=experiment)
    wells = _published_wells(store, experiment, plate) if well else frozenset()
    if wells and _spelled(well) not in wells:
        said = f"the plate has no well {well!r}; it has {len(wells)}, from {min(wells)} to {max(wells)}"
        raise ConfigurationError(said, experiment=experiment, plate=plate)


def _published_wells(store: Store, experiment: str, plate: str) -> frozenset[str]:
    """Wells of the plate's publication; none where there is no publication yet."""
    from imaging import open_results
    from imaging.errors import PlateError

    try:
        found = open_results(store).wells(experiment, plate=plate, columns=["well"]).to_arrow()
    except PlateError:
        return frozenset()
    return frozenset(found["well"].to_pylist())


def _spelled(well: str) -> str:
    from imaging.wells import parse_well

    try:
        return str(parse_well(well))
    except ValueError:  # it is refused with the reason where it is recorded
        return well


def _read_recipes(files: list[Path]) -> list[AnalysisRecipe]:
    """Recipes of files; the default one where none is named."""
    from imaging.analyses.declared_recipes import STANDARD
    from imaging.analyses.recipe import AnalysisRecipe, read_analysis_recipe
    from imaging.errors import MissingPartError

    found = []
    for path in files:
        if not path.is_file():
            raise MissingPartError(f"there is no file {path}; give the YAML file of an analysis recipe")
        found.append(read_analysis_recipe(path.read_bytes(), name=path.stem, place=str(path)))
    return found or [AnalysisRecipe.model_validate({"name": STANDARD})]


def _foreign(experiment: str, path: Path, annotations: list[Path]):
    """What analyses profiles of a file under a recipe."""
    from imaging.analyses.analysis import analyse as analyse_profiles
    from imaging.analyses.profiles_file import read_profiles

    def run(recipe: AnalysisRecipe) -> Analysis:
        from dataclasses import replace

        profiles, notes = read_profiles(path, recipe.annotate, experiment=experiment, annotations=annotations)
        found = analyse_profiles(profiles, recipe)
        return replace(found, notes=(*notes, *found.notes))

    return run


def _published(root: Store, experiment: str, files: list[Path], output: Path | None) -> Board:
    """Published plates under recipes of files; nothing is recorded but what was made of each plate alone."""
    from imaging.analyses.kept_plates import KeptPlates
    from imaging.analyses.numbered import read_decisions
    from imaging.analyses.stored_analysis import analyse_published
    from imaging.export.selection import select_plates

    selection = select_plates(root, experiment)
    for remark in selection.remarks:
        typer.echo(printable(remark), err=True)
    decisions = read_decisions(root, experiment)

    def run(recipe: AnalysisRecipe) -> Analysis:
        return analyse_published(selection.plates, recipe, decisions, KeptPlates(root, experiment))

    return _compare(experiment, _read_recipes(files), run, output)


def _compare(experiment: str, recipes: list[AnalysisRecipe], run, output: Path | None) -> Board:
    from imaging.analyses.board import Entry, compare, hits_of
    from imaging.analyses.result_tables import analysis_tables
    from imaging.errors import PlateError

    entries, faults = [], []
    for recipe in recipes:
        try:
            found = run(recipe)
        except PlateError as error:
            if len(recipes) == 1:
                raise
            entries.append(Entry(recipe.id, reason=str(error)))
            faults.append(error)
            continue
        place = {"experiment": experiment, "analysis_recipe": recipe.id, "analysis": None}
        tables = analysis_tables(found, place, {})
        entries.append(Entry(recipe.id, found.scores, hits_of(tables["hits"].to_pylist()), found.notes))
        if output is not None:
            _write_tables(output / recipe.id, tables)
    if len(faults) == len(recipes):
        raise faults[0]
    return compare(entries)


def _reconcile(root: Store, experiment: str, output: Path | None, *, again: bool) -> Board:
    from imaging.analyses.analysis_records import is_known
    from imaging.analyses.board import board_of_records
    from imaging.analyses.declared_recipes import read_declared_recipes
    from imaging.analyses.projection import counting_recipe, project_experiment
    from imaging.analyses.pulse import beating
    from imaging.analyses.reconcile import reconcile
    from imaging.errors import ConfigurationError

    outcomes: list[Outcome] = []
    if is_known(root, experiment):
        with beating(root, experiment, "platestream analyse"):
            before = counting_recipe(root, experiment)
            outcomes = reconcile(root, experiment, again=again)
            if any(outcome.is_new for outcome in outcomes) or counting_recipe(root, experiment) != before:
                project_experiment(root, experiment)
    if not outcomes:
        raise ConfigurationError(
            "there is nothing to analyse: no plate of the experiment is published; `platestream status` shows them",
            experiment=experiment,
        )
    for name, fault in read_declared_recipes(root, experiment).faults.items():
        typer.echo(printable(f"the analysis recipe {name} is passed over: {fault}"), err=True)
    for outcome in outcomes:
        record = outcome.record
        if outcome.is_new and not record.reason:
            typer.echo(
                f"{record.recipe}: analysis {record.number} of {counted(len(record.publications), 'plate')}, "
                f"{outcome.made} made, {outcome.kept} kept, {outcome.seconds:.1f} s",
                err=True,
            )
        if output is not None:
            _copy_tables(root, record.tables, output / record.recipe)
    return board_of_records(root, [outcome.record for outcome in outcomes])


def _print(board: Board, *, as_json: bool) -> None:
    if as_json:
        print_rows(board.table(), Format.json)
        return
    _print_scores(board)
    for row in board.rows:
        for what in ("gained", "lost"):
            if names := row.get(f"{what}_examples"):
                more = f" and {len(names) - _NAMED} more (--json names all)" if len(names) > _NAMED else ""
                typer.echo(printable(f"{row['recipe']} {what}: {', '.join(names[:_NAMED])}{more}"))
        if row.get("reason"):
            typer.echo(printable(f"{row['recipe']}: {row['reason']}"), err=True)
    said: dict[str, list[str]] = {}
    for recipe, notes in board.notes.items():
        for note in notes:
            said.setdefault(note, []).append(recipe)
    for note, of in said.items():
        whose = "" if len(of) == len(board.rows) else f"{', '.join(of)}: "
        typer.echo(printable(f"{whose}{note}"), err=True)


def _print_scores(board: Board) -> None:
    """A column per recipe: there are more scores than recipes."""
    from rich.table import Table

    from imaging.analyses.board import LEADERBOARD
    from imaging.table_schema import INTEGER, NUMBER

    table = Table("", box=None)
    for row in board.rows:
        table.add_column(plain(row["recipe"]), justify="right")
    for column in LEADERBOARD.columns:
        values = [row.get(column.name) for row in board.rows]
        if column.kind in (INTEGER, NUMBER) and any(value is not None for value in values):
            cells = [
                "" if value is None else f"{value:,}" if column.kind == INTEGER else f"{value:.3f}" for value in values
            ]
            table.add_row(column.name.replace("_", " "), *cells)
    open_console().print(table)


def _write_board(experiment: str, board: Board, output: Path) -> None:
    import pyarrow.parquet as pq

    from imaging.analyses.board_page import board_page

    output.mkdir(parents=True, exist_ok=True)
    pq.write_table(board.table(), output / "leaderboard.parquet")
    rows: list[dict[str, Any]] = board.table().to_pylist()
    (output / "leaderboard.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    (output / "leaderboard.html").write_text(board_page(experiment, board), encoding="utf-8")
    typer.echo(f"tables and page in {output}", err=True)


def _write_tables(folder: Path, tables: dict[str, Any]) -> None:
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")


def _copy_tables(root: Store, tables: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, key in tables.items():
        (folder / f"{name}.parquet").write_bytes(root.read(key))
