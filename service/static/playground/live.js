// The traffic of the last minutes, from two readings of /metrics each.

import { send } from "./api.js";
import { byId, el, milliseconds, number, percent, svg } from "./dom.js";
import { p99, parseMetrics, sum } from "./metrics_text.js";

const INTERVAL_MS = 5000;
const TIMEOUT_MS = 10_000; // a reading takes milliseconds
const READINGS = 61; // five minutes
const FEWEST = 7; // half a minute is the width of a line at least

const NAMES = new Set([
  "oodguard_decisions_total", "oodguard_alpha", "oodguard_drift_log_martingale",
  "oodguard_drift_log_threshold", "oodguard_request_duration_seconds_bucket",
]);

/**
 * Read the metrics until they are refused: `onError` is then called once. While the service does not
 * answer, the readings go on, and a text states it.
 */
export class LiveStrip {
  constructor(onError) {
    this.onError = onError;
    this.guide = false; // whether the documentation is served
    this.readings = [];
    this.interrupted = false;
    this.timer = null;
    this.reading = false;
    this.tiles = ["Decisions a second", "Rejected", "Evidence of drift", "p99 of predictions"].map(tile);
    byId("live").replaceChildren(...this.tiles.map((each) => each.element));
    document.addEventListener("visibilitychange", () => {
      if (this.timer && document.visibilityState === "visible") this.read();
    });
  }

  /** Begin for a model, whose rejections and drift are shown. */
  start(model) {
    this.model = { model: model.name, version: model.version };
    if (!this.timer) {
      this.timer = setInterval(() => this.read(), INTERVAL_MS);
      this.read();
    }
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  async read() {
    if (this.reading || document.visibilityState !== "visible") return;
    this.reading = true;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
    try {
      const text = await (await send("metrics", { signal: timeout.signal })).text();
      // Counters of a service that has started again begin at 0.
      if (this.interrupted) this.readings = [];
      this.state("");
      this.readings.push({ at: performance.now() / 1000, samples: parseMetrics(text, NAMES) });
      if (this.readings.length > READINGS) this.readings.shift();
      this.show();
    } catch (error) {
      if (error.status === 429) return;
      if ([401, 403, 404].includes(error.status)) {
        this.stop();
        this.state("");
        this.onError(error);
        return;
      }
      this.state("The service does not answer. The page tries again every five seconds.");
    } finally {
      clearTimeout(timer);
      this.reading = false;
    }
  }

  /** State why there is no reading; an empty text: there is one. */
  state(text) {
    this.interrupted = text !== "";
    const place = byId("live-state"); // a status: what is set is announced
    if (place.textContent !== text) place.textContent = text;
  }

  show() {
    const { readings, model } = this;
    const pairs = readings.slice(1).map((after, k) => [readings[k], after]);
    const decisions = pairs.map(([one, two]) => change(one, two, {}) / (two.at - one.at));
    const last = readings.at(-1).samples;
    const first = readings[0];
    const images = change(first, readings.at(-1), model);
    const rejected = change(first, readings.at(-1), { ...model, decision: "reject" });
    const alpha = sum(last, "oodguard_alpha", model);
    const rates = pairs.map(([one, two]) => {
      const total = change(one, two, model);
      return total > 0 ? change(one, two, { ...model, decision: "reject" }) / total : null;
    });
    const evidence = readings.map((each) => sum(each.samples, "oodguard_drift_log_martingale", model));
    const limit = sum(last, "oodguard_drift_log_threshold", model);
    const times = pairs.map(([one, two]) => p99(one.samples, two.samples));
    const time = readings.length > 1 ? p99(first.samples, last) : null;

    this.tiles[0].show(decisions.length ? number(decisions.at(-1)) : "…", "all models", decisions);
    const counted = images > 0 ? `${rejected} of ${images} pictures` : "no pictures";
    const bound = alpha == null ? "" : `; alpha is ${percent(alpha)}`;
    this.tiles[1].show(images > 0 ? percent(rejected / images) : "–", `${model.model}: ${counted}${bound}`, rates, alpha);
    this.showDrift(evidence, limit);
    const requests = time ? `of ${time.count} ${time.count === 1 ? "request" : "requests"}, all models` : "all models";
    this.tiles[3].show(time == null ? "–" : milliseconds(1000 * time.seconds), requests, times.map((each) => each?.seconds ?? null));
  }

  /** Show the evidence, and whether it is an alarm: pictures that are tried may be its cause. */
  showDrift(evidence, limit) {
    const value = evidence.at(-1);
    const [, , drift] = this.tiles;
    const isAlarm = value != null && limit != null && value >= limit;
    drift.element.classList.toggle("alarm", isAlarm);
    if (!isAlarm) {
      drift.show(value == null ? "–" : number(value), value == null ? "not shown by this service" : `${this.model.model}; an alarm at ${number(limit)}`, evidence, limit);
      return;
    }
    const help = this.guide ? el("a", { href: "guide/runbooks/OODGuardDrift.html" }, "What to do") : "";
    const text = `${this.model.model}: over the limit ${number(limit)}. The pictures are unlike those of the calibration; pictures that are tried on this page count, too. `;
    drift.show(`${number(value)}, alarm`, [text, help], evidence, limit);
  }
}

/** The number of decisions between two readings; 0 after a restart, whose counters begin again. */
function change(before, after, labels) {
  const [one, two] = [before, after].map(({ samples }) => sum(samples, "oodguard_decisions_total", labels) ?? 0);
  return Math.max(0, two - one);
}

function tile(title) {
  const value = el("strong", {}, "–");
  const note = el("span", { class: "note" }, "\u00a0");
  const line = el("div", { class: "spark" });
  const element = el("div", { class: "tile" }, el("h3", {}, title), value, note, line);
  return {
    element,
    show(text, under, values, limit = null) {
      value.textContent = text;
      note.replaceChildren(...[under].flat());
      line.replaceChildren(sparkline(values, limit));
    },
  };
}

/** Return a line of values, null where there is none, and a limit as a dashed line. */
function sparkline(values, limit) {
  const known = [...values, limit].filter((value) => value != null && Number.isFinite(value));
  const low = Math.min(0, ...known);
  const high = Math.max(...known, low + 1e-9) * 1.05;
  const steps = Math.max(values.length, FEWEST) - 1;
  const x = (k) => (120 * (k + steps - values.length + 1)) / steps;
  const y = (value) => 30 - (28 * (value - low)) / (high - low || 1);
  const points = values.flatMap((value, k) => (value == null ? [] : [`${x(k).toFixed(1)},${y(value).toFixed(1)}`]));
  return svg(
    "svg", { viewBox: "0 0 122 32", preserveAspectRatio: "none", "aria-hidden": "true" },
    limit == null ? null : svg("line", { class: "limit", x1: 0, x2: 122, y1: y(limit), y2: y(limit) }),
    svg("polyline", { points: points.join(" ") }),
  );
}
