// The slider for alpha: a position in the grids that the service has computed.

import { byId, percent } from "./dom.js";

/** Let a person choose an alpha; `change(alpha)` gets null while it is that of the service. */
export class AlphaSlider {
  constructor(change) {
    this.cards = [];
    this.alphas = [];
    this.served = null;
    this.input = byId("alpha");
    this.input.addEventListener("input", () => {
      this.show();
      change();
    });
  }

  /** Offer the alphas of the cards' grids; that of the first model is where it starts. */
  offer(cards) {
    const chosen = this.alpha === this.served ? null : this.alpha;
    this.cards = cards.filter((card) => card.grid);
    const grids = this.cards.map((card) => card.grid);
    const [first] = grids;
    this.alphas = first ? [...new Set(grids.flatMap((grid) => grid.outcomes.map((each) => each.alpha)))].sort((a, b) => a - b) : [];
    this.served = first?.alpha ?? null;
    this.input.disabled = this.alphas.length < 2;
    this.input.max = Math.max(this.alphas.length - 1, 1);
    const wanted = chosen ?? this.served ?? 0.05;
    const at = this.alphas.findIndex((alpha) => alpha >= wanted);
    this.input.value = at < 0 ? this.alphas.length - 1 : at;
    this.show();
  }

  /** The chosen alpha; undefined: there is none to choose. */
  get alpha() {
    return this.alphas[Number(this.input.value)];
  }

  /** The outcome of the chosen alpha in a model's grid; null: no grid; undefined: too few images. */
  outcome(grid) {
    return grid ? grid.outcomes.find((each) => each.alpha === this.alpha) : null;
  }

  /** State that an alpha is that of the service, and of which models if not of all. */
  servedBy(alpha) {
    const serving = this.cards.filter((card) => card.grid.alpha === alpha);
    if (alpha == null || serving.length === 0) return "";
    if (serving.length === this.cards.length) return " (as served)";
    return ` (as served by ${[...new Set(serving.map((card) => card.model.name))].join(", ")})`;
  }

  show() {
    const alpha = this.alpha;
    const text = alpha == null ? "–" : percent(alpha);
    byId("alpha-value").textContent = text + this.servedBy(alpha);
    this.input.setAttribute("aria-valuetext", text);
  }
}
