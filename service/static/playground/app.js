// Connect the parts of the page.

import { AlphaSlider } from "./alpha.js";
import { assetObject, hasKey, modelPath, sendForObject, sendImage, setKey } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { hideError, showError, showModelsChanged, showNotice } from "./errors.js";
import { describeExamples, showAttack, showExamples } from "./examples.js";
import { LiveStrip } from "./live.js";
import { listenForPictures, showPicture } from "./picture.js";
import { showSamples } from "./samples.js";
import { Card } from "./verdict.js";

const MOST_CARDS = 2; // shown at first, if more models are served

const state = { config: null, models: [], cards: new Map(), picture: null, choice: 0, running: null, asked: false };
const slider = new AlphaSlider(() => {
  for (const card of state.cards.values()) card.drawChart(slider.outcome(card.grid));
});
const live = new LiveStrip((error) => {
  byId("live-button").hidden = false;
  if (state.asked) report(error, showTraffic);
});

const id = ({ name, version }) => `${name}@${version}`;

/** Show an error; one about the key asks for another key. */
function report(error, again) {
  if (error.name === "AbortError") return;
  if (error.slug === "key-missing" || error.slug === "key-unknown") {
    askForKey(error.slug === "key-unknown" ? "The service refused this key. Check that it is complete and has not been revoked." : undefined, again);
    return;
  }
  if (error.slug === "unknown-model") showModelsChanged(error, loadModels);
  else showError(error, again);
}

function askForKey(text, after) {
  const dialog = byId("key-dialog");
  byId("key-text").textContent = text ?? "This service requires an API key with the role predict.";
  byId("key").value = "";
  byId("key-form").onsubmit = () => {
    setKey(byId("key").value.trim());
    byId("key").value = "";
    hideError();
    after?.();
  };
  if (!dialog.open) dialog.showModal();
}

/** Read the models that are served, and offer them. */
async function loadModels() {
  try {
    const { models, default: name, default_version: version } = await sendForObject("models");
    const isDefault = (model) => model.name === name && model.version === version;
    state.models = [...models.filter(isDefault), ...models.filter((model) => !isDefault(model))];
  } catch (error) {
    report(error, loadModels);
    return;
  }
  const known = state.models.some((model) => state.cards.has(id(model)));
  byId("models").replaceChildren(el("legend", {}, "Models"), ...state.models.map((model, rank) => {
    const checked = state.cards.has(id(model)) || (rank < MOST_CARDS && (!known || rank === 0));
    const box = el("input", { type: "checkbox", value: id(model), checked, onchange: () => predict(showCards()) });
    return el("label", { class: "chip" }, box, `${model.name} ${model.version}`, rank ? null : el("span", { class: "note" }, " default"));
  }));
  showCards();
  if (state.picture) showAttack(state.picture.example, state.models).catch((error) => report(error, null));
  if (!state.config.keys) showTraffic();
  predict();
}

/** Show a card for each chosen model, and return the new cards. */
function showCards() {
  const chosen = new Set([...document.querySelectorAll("#models input:checked")].map((box) => box.value));
  const added = [];
  const shown = state.models.filter((model) => chosen.has(id(model))).map((model) => {
    const known = state.cards.get(id(model));
    const card = known ?? new Card(model, state.config, report);
    if (!known) added.push(card);
    return [id(model), card];
  });
  state.cards = new Map(shown);
  byId("cards").replaceChildren(...shown.map(([, card]) => card.element));
  describeExamples(shown.map(([, card]) => card.model)).catch(() => {}); // showExamples reports it
  loadGrids(added);
  return added;
}

/** Read the thresholds of new cards, and offer the slider for all of them. */
async function loadGrids(added) {
  const read = async (card) => {
    card.grid = await sendForObject(modelPath(card.model, "thresholds"));
  };
  const wanted = state.config.detail === "full" ? added : [];
  const results = await Promise.allSettled(wanted.map(read));
  const failed = results.find(({ status }) => status === "rejected");
  if (failed) report(failed.reason, () => loadGrids(wanted));
  const cards = [...state.cards.values()];
  slider.offer(cards);
  for (const card of cards) {
    card.showRobustness();
    card.drawChart(slider.outcome(card.grid));
  }
}

/** Send the picture to each chosen model, and show the verdicts. */
async function predict(cards = [...state.cards.values()]) {
  if (!state.picture || !cards.length) return;
  const { signal, count } = state.picture;
  hideError();
  announce(count > 1 ? `Checking the first of ${count} files.` : "Checking the picture.");
  const results = await Promise.allSettled(cards.map((card) => verdictOf(card, state.picture)));
  if (signal.aborted) return;
  const failed = cards.filter((_, k) => results[k].status === "rejected");
  const first = results.find(({ status }) => status === "rejected");
  if (first) report(first.reason, () => predict(failed));
  else refreshGrids(cards);
  announce(results.flatMap(({ value }) => value ?? []).join(" "));
  if (!first) showResults();
}

/** Read the thresholds of models again that a reload of the service has changed. */
function refreshGrids(cards) {
  const changed = cards.filter((card) => card.isChanged());
  if (!changed.length) return;
  for (const card of changed) card.grid = null;
  loadGrids(changed);
  const names = changed.map((card) => card.model.name).join(", ");
  showNotice({ title: "The service has new settings", advice: `The model or its policy was reloaded: ${names}. This verdict is the new one.` });
}

/** Scroll to the verdicts if they are below the window, as on a phone. */
function showResults() {
  const results = byId("cards");
  if (results.getBoundingClientRect().top > window.innerHeight - 100) results.scrollIntoView();
}

async function verdictOf(card, { blob, example, signal }) {
  const turn = card.wait();
  try {
    const response = await sendImage(card.model, "predict", blob, signal);
    const started = performance.now();
    const inspection = await sendImage(card.model, "inspect", blob, signal);
    const roundTrip = performance.now() - started;
    const outcome = () => slider.outcome(card.grid);
    const isShown = await card.show(turn, { response, inspection, roundTrip, outcome, example });
    return isShown ? `${card.model.name}: ${card.verdict.decision}, ${card.verdict.label}.` : "";
  } catch (error) {
    if (error.name !== "AbortError") card.fail(turn);
    throw error;
  }
}

/** Note that a picture is being chosen; return a function that states whether none was chosen since. */
function beginChoice() {
  state.choice += 1;
  const mine = state.choice;
  return () => mine === state.choice;
}

/** Try a picture: an earlier one that is still being predicted is dropped. */
function use(blob, source, count = 1) {
  const example = typeof source === "string" ? null : source;
  beginChoice();
  state.running?.abort();
  state.running = new AbortController();
  state.picture = { blob, example, count, signal: state.running.signal };
  showPicture(blob, example?.title ?? source, count);
  showAttack(example, state.models).catch((error) => report(error, null));
  if (example?.original) choose(example.attacked_model, example.robust_model);
  if (!state.config) return; // the verdicts follow when the page knows the service
  if (state.config.keys && !hasKey()) askForKey(undefined, loadModels);
  else predict();
}

/** Add the models of an attacked example to the chosen ones, if they are served. */
function choose(...names) {
  const chosen = new Set(state.models.filter((model) => names.includes(model.name)).map(id));
  const boxes = [...document.querySelectorAll("#models input:not(:checked)")];
  const added = boxes.filter((box) => chosen.has(box.value));
  for (const box of added) box.checked = true;
  if (added.length) showCards();
}

async function start() {
  listenForPictures(use);
  showAttack(null, []);
  showExamples(beginChoice, use, report).catch((error) => report(error, () => location.reload()));
  byId("key-cancel").addEventListener("click", () => byId("key-dialog").close());
  byId("key-button").addEventListener("click", () => askForKey(undefined, loadModels));
  byId("live-button").addEventListener("click", () => {
    state.asked = true; // errors of readings that the page began by itself are not shown
    showTraffic();
  });
  byId("samples-button").addEventListener("click", openSamples);
  try {
    state.config = await assetObject("config");
  } catch (error) {
    report(error, () => location.reload());
    return;
  }
  const { keys, samples, detail, guide } = state.config;
  byId("guide-link").hidden = !guide;
  live.guide = guide;
  byId("alpha-control").hidden = detail !== "full";
  byId("key-button").hidden = byId("live-button").hidden = !keys;
  byId("samples-section").hidden = !samples;
  if (keys) askForKey(undefined, loadModels);
  else await loadModels();
}

function showTraffic() {
  if (!state.models.length) return;
  byId("live-button").hidden = true;
  live.start(state.models[0]);
}

async function openSamples() {
  try {
    await showSamples();
    byId("samples-button").textContent = "Refresh";
  } catch (error) {
    report(error, openSamples);
  }
}

start();
