// The calibration histogram of a score, with the threshold and the score of the picture.

import { number, svg } from "./dom.js";

const WIDTH = 320;
const HEIGHT = 136;
const BASE = 112;
const TOP = 28; // for the names of the thresholds
const MARGIN = 8;

/** Return the drawing. `score` and `threshold` may be null, `other` is the slider's, with a text. */
export function histogram({ edges, counts }, { score, threshold, other, otherText }) {
  const low = edges[0];
  const high = edges.at(-1);
  const marks = [score, threshold, other].filter((value) => value != null);
  const from = Math.min(low, ...marks);
  const to = Math.max(high, ...marks);
  const x = (value) => MARGIN + ((WIDTH - 2 * MARGIN) * (value - from)) / (to - from || 1);
  const most = Math.max(...counts, 1);
  const limit = other ?? threshold;
  const bars = counts.map((count, k) => {
    // The square root: bins with few images stay visible.
    const height = (BASE - TOP) * Math.sqrt(count / most);
    const left = x(edges[k]);
    const width = Math.max(x(edges[k + 1]) - left - 0.6, 0.8);
    const side = limit != null && (edges[k] + edges[k + 1]) / 2 > limit ? "bin above" : "bin";
    return svg("rect", { class: side, x: left, y: BASE - height, width, height });
  });
  return svg(
    "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", role: "img", "aria-label": describe(score, threshold, other) },
    ...bars,
    svg("line", { class: "axis", x1: MARGIN, x2: WIDTH - MARGIN, y1: BASE, y2: BASE }),
    mark("threshold", x, threshold, "threshold", 10),
    mark("what-if", x, other, otherText, 22),
    score == null ? null : pointer(x(score), score, limit),
  );
}

function describe(score, threshold, other) {
  const texts = ["Histogram of the scores of the calibration images."];
  if (score != null) texts.push(`Score of this picture ${number(score)}.`);
  if (threshold != null) texts.push(`Threshold ${number(threshold)}.`);
  if (other != null) texts.push(`Threshold of the slider ${number(other)}.`);
  return texts.join(" ");
}

function mark(name, x, value, text, y) {
  if (value == null) return null;
  const at = x(value);
  const end = at > WIDTH * 0.6;
  return svg(
    "g", { class: name },
    svg("line", { x1: at, x2: at, y1: y - 8, y2: BASE }),
    svg("text", { x: at + (end ? -4 : 4), y, "text-anchor": end ? "end" : "start" }, text),
  );
}

function pointer(at, score, limit) {
  const side = limit != null && score > limit ? "rejected" : "accepted";
  const anchor = at < 50 ? "start" : at > WIDTH - 50 ? "end" : "middle";
  return svg(
    "g", { class: `score ${side}` },
    svg("path", { d: `M${at} ${BASE - 2} l-5 9 h10 z` }),
    svg("line", { x1: at, x2: at, y1: TOP, y2: BASE }),
    svg("text", { x: at, y: HEIGHT - 3, "text-anchor": anchor }, `this picture ${number(score)}`),
  );
}
