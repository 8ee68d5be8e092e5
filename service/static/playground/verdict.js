// The verdict of one model on the picture, as a card whose places have their size from the start.

import { el, milliseconds, percent } from "./dom.js";
import { histogram } from "./histogram.js";
import { explainByOcclusion } from "./occlusion.js";
import { draw, pixelsOf, pngBlob } from "./pixels.js";
import { hardeningText, isHardened, mistakeText, outcomeText, pValueText, reasonTexts, robustnessText } from "./verdict_text.js";

const SHOWN_CLASSES = 3;

const WHY = "“Why?” covers one part of the picture after another, and colours the parts that change the score.";

export class Card {
  /** The card of a model in a service with a configuration; `onError` takes an error and the action that failed. */
  constructor(model, config, onError) {
    this.model = model;
    this.config = config;
    this.detail = config.detail;
    this.onError = onError;
    this.grid = null;
    this.outcome = null;
    this.verdict = null;
    this.served = null;
    this.changed = false;
    this.pixels = null;
    this.turn = 0; // of the newest check: the results of earlier ones are dropped
    this.badge = el("p", { class: "badge" });
    this.otherBadge = el("p", { class: "other-badge", role: "status" });
    this.classes = el("ol", { class: "classes" });
    this.input = el("canvas", { class: "pixelated", role: "img", "aria-label": "The picture as the model sees it", width: 32, height: 32 });
    this.overlay = el("canvas", { class: "overlay", "aria-hidden": "true" });
    this.why = el("button", { type: "button", class: "button small", disabled: true, onclick: () => this.explain() }, "Why?");
    this.whyText = el("p", { class: "note why", role: "status" });
    this.reasons = el("ul", { class: "reasons" });
    this.chart = el("div", { class: "chart" });
    this.pValue = el("p", { class: "p-value" });
    this.whatIf = el("p", { class: "what-if-text" });
    this.times = el("p", { class: "note times" });
    const title = `${model.name} ${model.version}`;
    const hardening = el("p", { class: isHardened(model) ? "note" : "note weak" }, hardeningText(model));
    this.robustness = el("p", { class: "note robustness" });
    this.element = el(
      "article", { class: "panel card", "aria-label": title },
      el("header", {}, el("h3", {}, model.name, " ", el("span", {}, model.version)), this.badge, hardening, this.otherBadge, this.robustness),
      el("div", { class: "part" },
        el("div", { class: "seen" },
          el("figure", {}, el("div", { class: "input" }, this.input, this.overlay), el("figcaption", {}, `as the model sees it, ${model.input.width} × ${model.input.height}`), this.why),
          this.classes),
        this.reasons),
      el("div", { class: "part" }, this.chart, this.pValue, this.whatIf),
      el("div", { class: "part" }, this.times, this.whyText),
    );
    this.clear("no picture yet");
  }

  /** Show no verdict, and drop the results that are on their way. */
  clear(text) {
    this.turn += 1;
    this.verdict = this.policy = this.pixels = null;
    this.element.className = "panel card";
    this.element.removeAttribute("aria-busy");
    this.badge.textContent = text;
    this.classes.replaceChildren();
    this.reasons.replaceChildren();
    this.whyText.textContent = this.times.textContent = this.pValue.textContent = "";
    this.why.disabled = true;
    this.overlay.getContext("2d").clearRect(0, 0, this.overlay.width, this.overlay.height);
    this.input.getContext("2d").clearRect(0, 0, this.input.width, this.input.height);
    this.drawChart(this.outcome);
  }

  /** Begin a check, and return its turn: an earlier verdict must not stay with another picture. */
  wait() {
    this.clear("checking …");
    this.element.setAttribute("aria-busy", "true");
    return this.turn;
  }

  /** State that the check of a turn has failed, if it is the newest. */
  fail(turn) {
    if (turn === this.turn) this.clear("no verdict");
  }

  /**
   * Show the response of `predict` and that of `inspect`, if the turn is the newest; return whether.
   *
   * `roundTrip` is that of `inspect`, in milliseconds, `outcome()` returns that of the slider, and
   * `example` is the example that the picture is, if it is one.
   */
  async show(turn, { response, inspection, roundTrip, outcome, example }) {
    const pixels = await pixelsOf(pngBlob(inspection.input));
    if (turn !== this.turn) return false;
    const [verdict] = response.predictions;
    this.verdict = verdict;
    this.policy = response.policy;
    this.pixels = pixels;
    const served = JSON.stringify([response.model.sha256, response.policy]);
    this.changed = this.served !== null && this.served !== served;
    this.served = served;
    this.element.removeAttribute("aria-busy");
    this.element.className = `panel card ${verdict.decision}`;
    this.badge.textContent = verdict.decision === "accept" ? "Accept" : "Reject";
    const classes = inspection.classes ?? [{ label: verdict.label, confidence: null }];
    this.classes.replaceChildren(...classes.slice(0, SHOWN_CLASSES).map(classRow));
    const mistake = mistakeText(verdict, example, this.model);
    this.reasons.replaceChildren(
      ...(mistake ? [el("li", { class: "mistake" }, mistake)] : reasonTexts(verdict).map((text) => el("li", {}, text))),
    );
    const { decode, queue, run } = inspection.timings_ms;
    this.times.textContent = `Round trip ${milliseconds(roundTrip)}. In the service: decode ${milliseconds(decode)}, queue ${milliseconds(queue)}, model ${milliseconds(run)}.`;
    this.pValue.textContent = pValueText(verdict, this.policy, this.model, this.detail);
    this.overlay.width = this.overlay.height = 1;
    draw(this.input, pixels);
    this.why.disabled = this.score() == null;
    this.whyText.textContent = this.why.disabled ? "" : WHY;
    this.drawChart(outcome());
    return true;
  }

  /** Whether the newest verdict is of another bundle or policy than the one before, or the grid. */
  isChanged() {
    const { grid, policy } = this;
    return this.changed || (grid !== null && policy !== null && (grid.alpha !== policy.alpha || grid.score !== policy.score));
  }

  /** The deciding score of the picture; null: the service omits it, or it is not a number. */
  score() {
    return this.verdict?.scores?.[this.policy.score] ?? null;
  }

  /** State how well the model separates outliers, as its evaluation measured it. */
  showRobustness() {
    const { text, isWeak } = robustnessText(this.model, this.grid);
    this.robustness.textContent = text;
    this.robustness.classList.toggle("weak", isWeak);
  }

  /** Draw the histogram and what the outcome of the slider would decide. */
  drawChart(outcome) {
    this.outcome = outcome;
    if (!this.grid) {
      const text = this.detail === "full" ? "" : "This service keeps scores and thresholds to itself.";
      this.chart.replaceChildren(el("p", { class: "note" }, text));
      this.whatIf.textContent = "";
      this.showOther(null);
      return;
    }
    const { histogram: calibration, alpha, outcomes } = this.grid;
    const own = outcomes.find((each) => each.alpha === alpha);
    const threshold = this.policy?.threshold ?? this.limit(own);
    const isOther = outcome && outcome.alpha !== alpha;
    const other = isOther ? this.limit(outcome) : null;
    const otherText = isOther ? `alpha ${percent(outcome.alpha)}` : "";
    const decision = isOther ? this.decisionAt(outcome) : null;
    this.chart.replaceChildren(histogram(calibration, { score: this.score(), threshold, other, otherText }));
    const wouldBe = decision ? `Would ${decision} this picture. ` : "";
    this.whatIf.textContent = outcome === undefined
      ? "Too few calibration images for this alpha."
      : outcome ? wouldBe + outcomeText(outcome, this.grid) : "";
    this.showOther(decision);
  }

  /** Show the decision at the alpha of the slider next to that of the service; null: there is none. */
  showOther(decision) {
    const text = decision ? `would ${decision}` : "";
    this.otherBadge.className = `other-badge ${decision ?? ""}`;
    if (this.otherBadge.textContent !== text) this.otherBadge.textContent = text;
  }

  /** The threshold of an outcome for the predicted class; null: there is none yet. */
  limit(outcome) {
    if (!outcome) return null;
    return outcome.threshold ?? outcome.class_thresholds?.[this.verdict?.class_id] ?? null;
  }

  /** What the slider's alpha would decide; an empty text before there is a picture. */
  decisionAt(outcome) {
    const limit = this.limit(outcome);
    if (!this.verdict || limit == null) return null;
    const score = this.score();
    return score == null || score > limit ? "reject" : "accept";
  }

  async explain() {
    const { turn } = this;
    const { score } = this.policy;
    this.why.disabled = true;
    this.whyText.textContent = "Covering parts of the picture …";
    let text = WHY;
    try {
      const explanation = await explainByOcclusion(this.model, this.pixels, score, this.config);
      if (turn !== this.turn) return;
      explanation.paint(this.overlay);
      ({ text } = explanation);
    } catch (error) {
      if (turn !== this.turn) return;
      this.onError(error, () => this.explain());
    }
    this.whyText.textContent = text;
    this.why.disabled = false;
  }
}

function classRow({ label, confidence }, rank) {
  const meter = el("meter", { min: 0, max: 1, value: confidence ?? 0, "aria-hidden": "true" });
  const name = el("span", { class: rank ? "label" : "label first" }, label);
  const value = confidence == null ? null : el("span", { class: "value" }, percent(confidence));
  return el("li", {}, name, value, confidence == null ? null : meter);
}
