"""The blocks of docs/cli.md: exit codes, the keys of `--json`, and the help of all commands."""

import typer

from guide.references.commands import COMMANDS, Command
from oodguard.command_line.exit_codes import ExitCode

WIDTH = 100

KEYS = {
    "agreement": "number of images on which two graphs were compared, and the largest difference",
    "by_class": "for each predicted class, the images and the rejected ones; of `policy try` also"
    " the threshold",
    "by_reason": "the number of rejected images by reason",
    "busy": "the share of the time in which a CPU is used",
    "cpu_hours_per_day": "CPU hours of the verdicts of a day",
    "cpu_s_per_million": "CPU seconds of a million verdicts",
    "cpus": "the number of CPUs of all replicas",
    "load": "the rate as a share of the largest rate of these CPUs",
    "machine": "the machine on which the costs were measured",
    "memory_bytes": "memory of all idle replicas",
    "p99_limit_ms": "the limit on the response time in milliseconds",
    "p99_ms": "the response time to plan with in milliseconds",
    "model_p99_ms": "the calculated response time in milliseconds, a lower bound",
    "p99_factor": "the ratio of measured and calculated response times up to this load, or null",
    "picture_bytes": "the size of a picture, or null",
    "picture_width": "the width of a picture, or null",
    "picture_height": "the height of a picture, or null",
    "per_day": "verdicts per day",
    "picture": "the pictures of the costs",
    "rate": "verdicts per second",
    "rate_per_cpu": "the largest rate of one CPU within the limit",
    "replicas": "the number of replicas",
    "saturated_cpu_s_per_million": "CPU seconds of a million verdicts in full batches",
    "saturated_rate_per_cpu": "the largest rate of one CPU at any response time",
    "drift": "the test of the scores against the calibration, or null",
    "errors": "the number of pictures that cannot be decoded, by reason",
    "fdr": "the false-discovery rate, or null",
    "images_per_second": "the speed, or null",
    "rejected_share": "the share of the scored images that is rejected, or null",
    "scored": "the number of images with a verdict",
    "seconds": "the time in seconds",
    "shards": "the number of Parquet files",
    "source": "the sources",
    "worst": "the images with the largest scores",
    "calibration": "number of images and of groups; after `calibrate` the record of the manifest",
    "calibration_attack": "the attack on calibration images, as in `manifest.json`, or null",
    "classes": "the classes; of `samples export`, the number of images of each",
    "comparison": "thresholds, rejected shares, tests and warnings of the older and the new"
    " calibration",
    "evaluation": "rejected and missed shares by attack budget in 255ths",
    "folder": "the folder of the bundle that was written",
    "image": "the path or URL of the image",
    "images": "the number of images; of `samples review`, their folder",
    "input": "size and resize rule of the model's input",
    "key": "the API key, which is not stored",
    "largest": "the images with the largest scores",
    "notes": "where the policy of the settings does not hold for the bundle, and missing reasons",
    "limitations": "the parts of the policy that do not hold",
    "model": "name, version and sha256 of the bundle; of `drift reset` and `capacity`, its name",
    "out": "the output folder or archive",
    "page": "the path of the report as a page",
    "parity": "the same as `agreement`, of torch and ONNX Runtime, or null",
    "policy": "deciding score, alpha, delta, threshold and other promises",
    "predictions": "one object for each image, as in the response of [POST /predict](http-api.md),"
    " with its `file`",
    "providers": "the execution providers of ONNX Runtime",
    "quantization": "the comparison of INT8 with float32, as in `manifest.json`, or null",
    "reasons": "the [reasons](reasons.md) that a rejection can have",
    "record": "the record of a sample, as [stored](observability.md#sampled-images)",
    "rejected": "the share of calibration images that is rejected; of `score`, their number",
    "rejected_attacked": "the same of attacked ones, by budget in 255ths",
    "replaced": "version and sha256 of the older bundle",
    "report": "the content of `evaluation.json`",
    "resets": "one line of text for each version and replica",
    "run": "the folder of the run",
    "samples": "name, decision, p-value, model, version and class of each sample, or why it is"
    " unreadable",
    "scores": "the names of the scores",
    "searched": "the number of newest samples that were read",
    "table": "the review list that was written",
    "threshold": "the threshold of all images; null if it depends on the class",
    "total": "the number of samples in the store",
    "unknown": "why figures are unknown",
    "written": "the number of samples in the review list",
    "epochs": "the number of finished epochs",
    "duration_s": "the training time in seconds",
    "accuracy": "validation accuracy of the last epoch, from 0 to 1",
    "attacked_accuracy": "the same under attack",
    "attacked_auroc": "AUROC of validation images and outliers under attack, or null",
    "id": "the id of the API key",
    "roles": "the roles of the API key",
    "hash": "the salted hash that the key file stores",
    "created": "the date of the API key, or null",
    "requests_per_minute": "the rate limit of the API key, or null",
}

CELLS = {"oodguard-train runs"}
"""Commands whose JSON has the columns of the table as keys, and its cells as values."""


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = (f"| {code.value} | {code.meaning} |\n" for code in ExitCode)
    return f"| code | meaning |\n| --- | --- |\n{''.join(rows)}"


def json_tables() -> str:
    """Return the keys of the JSON of each command, and the value of each key."""
    lines = ["| command | keys |", "| --- | --- |"]
    shown: set[str] = set()
    for each in COMMANDS:
        if each.name in CELLS:
            lines.append(f"| `{each.name}` | the columns of the table, with its cells as text |")
        elif each.has_json:
            keys = json_keys(each)
            shown.update(keys)
            lines.append(f"| `{each.name}` | {', '.join(f'`{key}`' for key in keys)} |")
    lines += ["", "| key | value |", "| --- | --- |"]
    lines += [f"| `{key}` | {KEYS[key]} |" for key in sorted(shown)]
    return "\n".join([*lines, ""])


def command_helps() -> str:
    """Return a section with the help of each command."""
    return "\n".join(
        f"{'#' * (1 + len(each.words))} {each.name}\n\n```text\n{_help(each)}\n```\n"
        for each in COMMANDS
    )


def json_keys(command: Command) -> list[str]:
    """Return the keys of the JSON that a command prints."""
    (option,) = (each for each in command.command.params if "--json" in each.opts)
    return [key.rstrip(".") for key in option.help.partition("with the keys ")[2].split(", ")]


def _help(command: Command) -> str:
    context = typer.Context(command.command, info_name=command.name, terminal_width=WIDTH)
    return context.get_help().partition("\n  Settings are environment variables")[0].rstrip()
