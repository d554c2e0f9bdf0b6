"""`kws test`: a run's test split, looked at once, for a run that was not tested at its end."""

from kws.cli import last, options


def test(
    run: options.Run,
    data: options.DataOfRun = None,
    skip_unreadable: options.SkipUnreadable = False,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Test a finished run that was not tested, once.

    `kws train` tests a run at its end, but with --no-test, and `kws tune` does not test its trials: a split that is
    looked at for every recipe soon says more good of the best one than is true. This makes up for it, and gives the
    very answers that a test at the end would have given. For a run that is tested already it says what is recorded.
    --data names the same clips where they lie elsewhere.

    Example: kws test last
    """
    from kws.errors import RegistryError
    from kws.events import TEST
    from kws.registry.runs import FINISHED
    from kws.registry.store import Registry
    from kws.registry.trust import admit
    from kws.reports import json_output
    from kws.reports.classes import ClassReport
    from kws.terminal import console, screens_evaluation
    from kws.terminal.progress import Terminal
    from kws.training import runner

    with Registry(db) as registry:
        found = last.run_of(registry, run, last.finished)
        if found.status != FINISHED:
            raise RegistryError(
                f"run {found.id} is {found.status}; only a finished run can be tested, and "
                f"`kws train --resume {found.id}` goes on with one that was cut off"
            )
        untested = found.awaits_test
        if untested:
            admit(registry, found, trust_code)
            runner.test(
                registry, found, data=data or found.recipe.data, skip_unreadable=skip_unreadable, reporter=Terminal()
            )
        card = registry.card(found.data_fingerprint)
        evaluation = registry.evaluation(found.id, card.fingerprint, TEST)
        if evaluation is None:
            raise RegistryError(
                f"run {found.id} has lost the answers of its test; `kws db doctor` says what is missing"
            )
        at = registry.evaluated_at(found.id, card.fingerprint, TEST)
        judged = registry.recipes_judged(card.split_fingerprints[TEST])
    if not untested:
        console.say(f"run {found.id} was tested already, at {at}; this is what is recorded")
    if json:
        record = json_output.evaluation_record(found, card, evaluation, ClassReport.of(evaluation, card.classes))
        console.print_json(record | {"tested_at": at, "tested_now": untested, "recipes_judged": judged})
    else:
        console.tell(screens_evaluation.headline(found, card, evaluation))
    console.say(screens_evaluation.judged_line(judged))
