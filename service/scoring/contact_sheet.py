"""The worst pictures of a run as one HTML page that loads nothing else."""

import base64
import io
from html import escape
from itertools import islice
from typing import Final

from PIL import Image

from oodguard.models.errors import GuardError
from oodguard.models.manifest import InputSpec
from oodguard.models.names import escape_control_characters
from oodguard.service.scoring.picture_source import abbreviated
from oodguard.service.scoring.pictures import pixels_of
from oodguard.service.scoring.plan import ScoringPlan
from oodguard.service.scoring.reader import SourceReader
from oodguard.service.scoring.summary import Summary, WorstPicture

SIDE: Final = 160
"""The width and height of a picture on the page, in pixels."""

_SPEC = InputSpec(height=SIDE, width=SIDE, fit="letterbox")

_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 1rem; }
figure { margin: 0; } img, .missing { width: 160px; height: 160px; display: block; }
.missing { background: #8884; } figcaption { overflow-wrap: anywhere; font-size: 12px; }
"""


def contact_sheet(plan: ScoringPlan, summary: Summary, reader: SourceReader) -> str:
    """Return the page. A picture that can no longer be read has an empty place."""
    read = {
        each.position: _picture(reader, each.position, plan.max_pixels)
        for each in sorted(summary.worst, key=lambda each: each.position)
    }
    figures = "\n".join(_figure(plan, each, read[each.position]) for each in summary.worst)
    source = _text(abbreviated(plan.source))
    share = f"{summary.rejected / summary.scored:.2%}" if summary.scored else "none"
    rule = f"false-discovery rate {plan.fdr:g}" if plan.fdr is not None else "the policy"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
        " img-src data:; style-src 'unsafe-inline'\">"
        f"<title>Rejected pictures of {source}</title><style>{_STYLE}</style></head>\n<body>"
        f"<h1>Rejected pictures with the smallest p-values</h1>\n<p>{source}:"
        f" {summary.rejected:,} of {summary.scored:,} images rejected ({share}) by {rule};"
        f" model {_text(plan.model.name)} {_text(plan.model.version)}, score"
        f" {_text(plan.policy.score)}. Of equal p-values, the largest scores are first.</p>\n"
        f"<main>\n{figures}\n</main></body></html>\n"
    )


def _picture(reader: SourceReader, position: int, max_pixels: int) -> bytes | None:
    try:
        ((_, _, content),) = islice(reader.read(position, position + 1), 1)
        pixels, _ = pixels_of(content, _SPEC, max_pixels=max_pixels)
    except GuardError:
        return None
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _figure(plan: ScoringPlan, each: WorstPicture, data: bytes | None) -> str:
    name = each.file if each.row is None else f"{each.file}, row {each.row}"
    image = '<div class="missing"></div>'
    if data is not None:
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
    return (
        f"<figure>{image}<figcaption>{_text(name)}<br>p {each.p_value:.2g},"
        f" {_text(plan.policy.score)} {each.score:.4g}<br>{_text(each.label)}:"
        f" {_text(', '.join(each.reasons))}</figcaption></figure>"
    )


def _text(text: str) -> str:
    return escape(escape_control_characters(text))
