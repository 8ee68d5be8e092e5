// What a card says about a model, a verdict and an outcome of the slider.

import { number, percent } from "./dom.js";

const GTSRB_CLASSES = 43; // whose classes have numbers as names

/** The class of a model that an example is of; undefined: no class of the model has its name. */
export function ownClass(model, { classes }) {
  return classes.find((name) => model.classes.includes(name) && (Number.isNaN(Number(name)) || model.classes.length === GTSRB_CLASSES));
}

/** Whether the training of a model had attacks. */
export const isHardened = (model) => model.training.epsilon > 0;

export function hardeningText(model) {
  if (!isHardened(model)) return "Not hardened against attacks";
  return `Trained against attacks of up to ${number(255 * model.training.epsilon)}/255`;
}

const LOW_AUROC = 0.6; // near chance, as for `oodguard-train fit`

/** How well a model separates outliers from its classes, and whether that is near chance. */
export function robustnessText(model, grid) {
  const aurocs = grid?.aurocs ?? [];
  const [clean, ...attacked] = aurocs;
  if (!clean) return { text: grid ? "How well it separates outliers from its classes was not measured." : "", isWeak: false };
  const trained = 255 * model.training.epsilon;
  const at = attacked.find((each) => Math.abs(each.epsilon_255 - trained) < 0.01) ?? (isHardened(model) ? null : attacked[0]);
  const isWeak = clean.auroc < LOW_AUROC || (isHardened(model) && at != null && at.auroc < LOW_AUROC);
  const under = at ? `, in ${percent(at.auroc)} attacked within ${number(at.epsilon_255)}/255` : "";
  const text = `anks outliers above its classes in ${percent(clean.auroc)} of pairs${under} (chance: 50 %).`;
  return { text: isWeak ? `Near chance: r${text}` : `R${text}`, isWeak };
}

/** The mistake of a model on an example; null: the picture is no example, or the verdict is right. */
export function mistakeText(verdict, example, model) {
  if (!example || verdict.decision === "reject" || verdict.label === ownClass(model, example)) return null;
  const text = `is ${example.shows}, and accepted as ${verdict.label}.`;
  return example.original ? `The attack succeeds: it ${text}` : `It ${text}`;
}

export function reasonTexts(verdict) {
  if (verdict.decision === "accept") return ["It looks like the images that the model was calibrated on."];
  const texts = (verdict.reasons ?? []).map((reason) => reason.detail);
  return texts.length ? texts : ["It does not look like the images that the model was calibrated on."];
}

export function pValueText({ p_value: value, label }, policy, model, detail) {
  if (detail !== "full") return `p-value at most ${number(value)}; this service rounds it up.`;
  const own = policy.by_class && model.by_class.some((each) => each.label === label && !each.common);
  const images = `${policy.under_attack ? "attacked " : ""}calibration images${own ? ` predicted as ${label}` : ""}`;
  return `p-value ${number(value)}: of this picture and the ${images}, ${percent(value)} look at least as unusual.`;
}

/** The effect of an outcome of a grid on the calibration images and on the measured outliers. */
export function outcomeText(outcome, { alpha, outcomes }) {
  const at = outcome.alpha === alpha ? "the alpha of the service" : `alpha ${percent(outcome.alpha)}`;
  return `At ${at}, the model rejects ${percent(outcome.rejected)} of its calibration images; ${missedText(outcome, outcomes)}.`;
}

function missedText(outcome, outcomes) {
  const sets = Object.entries(outcome.missed).sort(([, one], [, other]) => other - one);
  if (!sets.length) {
    const measured = outcomes.find((each) => Object.keys(each.missed).length);
    return measured
      ? `how many outliers it misses was measured at alpha ${percent(measured.alpha)} only, where it ${missedText(measured, outcomes)}`
      : "how many outliers it misses was not measured at its thresholds";
  }
  const [[worst, most]] = sets;
  if (sets.length === 1) return `misses ${percent(most)} of the measured outliers, ${worst}`;
  const mean = sets.reduce((sum, [, share]) => sum + share, 0) / sets.length;
  return `misses ${percent(mean)} of the measured outliers (mean of ${sets.length} sets; ${percent(most)} of the worst, ${worst})`;
}
