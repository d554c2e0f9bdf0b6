"""`kws export`: a run's network as one ONNX file from waveform to probabilities, checked on the run's test clips."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import last, options, sections

if TYPE_CHECKING:
    from kws.inference.export.checking import Agreement
    from kws.inference.export.clips import Clips
    from kws.inference.export.exporting import Measured

Format = StrEnum("Format", {"onnx": "onnx"})
_ONNX = Format("onnx")


def export(
    run: options.Run,
    out: Annotated[Path | None, sections.output("--out", "-o", metavar="FILE", help="The file to write.")] = None,
    file_format: Annotated[Format, typer.Option("--format", help="The file's format.")] = _ONNX,
    int8: Annotated[bool, typer.Option("--int8", help="Weights and activations of the network in 8 bits.")] = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="One hop of 20 ms in, with states, rather than a clip of a second.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write nothing; compare a file that was exported before with the run."),
    ] = None,
    data: options.DataOfRun = None,
    speakers: options.Speakers = None,
    pattern: options.Pattern = None,
    skip_unreadable: options.SkipUnreadable = False,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Export a run's network to a file that runs without kws.

    The file has all from waveform to probabilities, in plain operators of ONNX, and says its words, thresholds and
    origin. It is compared with the network on all clips of the test split before it is kept: one of fp32 must decide
    alike on each, and one of --int8 may have 0.3 points less. Both accuracies and the largest difference of
    probabilities are printed, and sizes and times of all forms of the file. --data names the clips where they lie
    elsewhere.

    Example: kws export last --out yes-no.onnx && kws predict yes-no.onnx clip.wav
    """
    from kws.errors import RegistryError
    from kws.events import TEST
    from kws.registry.reader import RegistryReader
    from kws.terminal import console

    del file_format  # there is one
    if (out is None) == (check is None):
        raise typer.BadParameter(
            "kws export needs --out FILE, to write a file, or --check FILE, to compare one that is there"
        )
    if check is not None and (int8 or streaming):
        raise typer.BadParameter("--check FILE knows the file's form; leave out --int8 and --streaming")
    if out and out.suffix in (".db", ".sqlite"):
        raise RegistryError(
            f"`out` (={out}) is called as a registry is, and kws export writes a network; name a file that ends in "
            f".onnx, or copy the run by `kws runs export {run} {out}`"
        )
    require_packages()
    with RegistryReader(db) as registry:
        found = last.run_of(registry, run, last.weights)
        if found.awaits_test:
            raise RegistryError(
                f"run {found.id} is not tested, and an exported file is checked on its test clips; test it first: "
                f"`kws test {found.id}`"
            )
        from kws.api.loading import network_model

        model = network_model(registry, found, trust_code)
        own = registry.card(found.data_fingerprint)
    from kws.inference.export import clips
    from kws.inference.export.exporting import Export, require_writable
    from kws.inference.export.forms import Form
    from kws.inference.onnx_model import OnnxModel

    if out:
        require_writable(out)
    file = OnnxModel(check) if check else None
    recipe = found.recipe if data is None else options.recipe_on(found.recipe, data, speakers, pattern)
    options_of = {"partly": data is not None, "skip_unreadable": skip_unreadable, "track": console.track}
    there = clips.of(recipe, model.card.words, found.id, **options_of)  # type: ignore[arg-type]
    export = Export(model, there)
    form = Form(int8=int8, streaming=streaming)
    if file:
        agreement, written, form_name = export.check(file, console.track), file.path, file.form
    else:
        assert out is not None
        agreement, written, form_name = export.write(form, out, console.track), out, form.name
    same = there.test_fingerprint() == own.split_fingerprints[TEST]
    if not same:
        console.say(f"note: these are other test clips than those of run {found.id}, {console.visible(own.source)}")
    left = export.left_in_fp32 if form_name.startswith("int8") else []
    measured = export.measure()
    if json:
        about = {"schema": 1, "run": found.id, "file": str(written), "form": form_name, "written": out is not None}
        about |= {"data": there.source, "own_data": same, "licence": model.card.licence}
        about |= {"not_tested": there.not_tested}
        console.print_json(about | _record(agreement, measured) | {"left_in_fp32": left})
    else:
        console.tell(f"{written}: run {found.id}, {form_name}, {'written' if out else 'agrees'}")
        for line in (*_lines(agreement, there), *_left(left), *_table(measured)):
            console.tell(line, indent=4)


def require_packages() -> None:
    """Raise ModelError where the optional packages are missing."""
    from importlib.util import find_spec

    from kws.errors import ModelError, needs

    if missing := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
        raise ModelError(needs("kws export", *missing))


def _record(agreement: Agreement, measured: list[Measured]) -> dict[str, Any]:
    from kws.inference.export.timing import RUNS

    return {
        "clips": agreement.clips,
        "compared": agreement.compared,
        "network_accuracy": agreement.network_accuracy,
        "file_accuracy": agreement.file_accuracy,
        "largest_difference": agreement.largest_difference,
        "decisions_that_differ": agreement.differing,
        "ties_that_differ": agreement.ties,
        "forms": [
            {
                "form": each.form.name,
                "bytes": each.size,
                "network_bytes": each.network_size,
                "milliseconds": each.milliseconds,
                "of": "hop" if each.form.streaming else "clip",
                "runs": RUNS,
                "threads": 1,
            }
            for each in measured
        ],
    }


def _lines(agreement: Agreement, clips: Clips) -> list[str]:
    """What the comparison found, for people."""
    from kws.terminal import console, screens_evaluation

    differing = len(agreement.differing) + len(agreement.ties)
    lines = [
        f"  {agreement.clips:,} test clips of {console.visible(clips.source)}: "
        f"{console.percent(agreement.network_accuracy)} by the network in PyTorch, "
        f"{console.percent(agreement.file_accuracy)} by the file in onnxruntime",
        f"  {agreement.compared:,} compared: probabilities differ by {agreement.largest_difference:.1e} at most, "
        f"{differing:,} decisions differ",
    ]
    if clips.not_tested:
        lines.append(f"  {screens_evaluation.not_tested_line(clips.not_tested)}")
    return lines + [f"  a tie that is decided otherwise: {console.visible(name)}" for name in agreement.ties]


def _left(left: list[str]) -> list[str]:
    return [f"  left in fp32: {each}" for each in left]


def _table(measured: list[Measured]) -> list[str]:
    from kws.inference.export.timing import RUNS

    lines = [f"  {'form':<16} {'file':>12} {'its network':>14} {f'median of {RUNS}, one thread':>28}"]
    for each in measured:
        took = f"{each.milliseconds:.2f} ms a {'hop' if each.form.streaming else 'clip'}"
        sizes = f"{each.size / 1000:,.1f} kB", f"{each.network_size / 1000:,.1f} kB"
        lines.append(f"  {each.form.name:<16} {sizes[0]:>12} {sizes[1]:>14} {took:>28}")
    return lines
