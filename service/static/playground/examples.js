// The examples, and what an attack has changed.

import { asset, assetObject } from "./api.js";
import { byId, el } from "./dom.js";
import { draw, pixelsOf } from "./pixels.js";
import { ownClass } from "./verdict_text.js";

const FACTOR = 127;

const NAMES = new Intl.ListFormat("en"); // "one, two, and three"

const read = assetObject("examples.json");

/**
 * Show the buttons of all examples; `use(blob, example)` is called for the chosen one.
 *
 * `begin()` returns a function that states whether no other picture has been chosen since.
 */
export async function showExamples(begin, use, onError) {
  const { examples } = await read;
  for (const example of examples) {
    const choose = async () => {
      const isNewest = begin();
      try {
        const blob = await (await asset(example.file)).blob();
        if (isNewest()) use(blob, example);
      } catch (error) {
        if (isNewest()) onError(error, choose);
      }
    };
    const picture = el("img", { src: `playground/${example.file}`, alt: "", width: 56, height: 56 });
    const button = el("button", { type: "button", title: example.origin, "aria-label": example.title, onclick: choose }, picture, el("span", {}, example.title.replace(", attacked", "")));
    byId(example.kind === "attacked" ? "attacked" : "examples").append(el("li", {}, button));
  }
}

/** State for each model which examples are of its classes: the others should be rejected. */
export async function describeExamples(models) {
  const { examples } = await read;
  const known = new Map();
  for (const model of models) {
    const own = new Set(examples.filter((example) => ownClass(model, example)).map(({ shows }) => shows));
    const text = own.size
      ? `${[...own].join(" and ")}: of a class of NAMES. The other pictures should be rejected.`
      : "No class of NAMES has the name of one of these pictures: they should be rejected.";
    known.set(text, [...known.get(text) ?? [], model.name]);
  }
  const texts = [...known].map(([text, names]) => text.replace("NAMES", () => NAMES.format(new Set(names))));
  byId("examples-note").textContent = texts.map((text) => text[0].toUpperCase() + text.slice(1)).join(" ");
}

let shown = 0;

/** Show original, attacked picture and amplified perturbation; empty places for other pictures. */
export async function showAttack(example, models) {
  shown += 1;
  const mine = shown;
  const figure = byId("attack");
  if (!example?.original) {
    const names = ["original", "attacked", "change"];
    figure.replaceChildren(
      el("div", { class: "views" }, ...names.map((name) => view(name, new ImageData(1, 1)))),
      el("figcaption", { class: "note" }, "Choose an attacked example to see what the attack has changed."),
    );
    return;
  }
  const [attacked, original] = await Promise.all(
    [example.file, example.original].map(async (file) => pixelsOf(await (await asset(file)).blob())),
  );
  if (mine !== shown) return; // another picture has been chosen
  const isServed = models.some(({ name }) => name === example.attacked_model);
  const victim = isServed ? example.attacked_model : "an undefended classifier of CIFAR-10 that is not served here";
  const views = [
    ["original", original],
    [`attacked, ${example.epsilon_255}/255`, attacked],
    [`change × ${FACTOR}`, difference(original, attacked)],
  ];
  figure.replaceChildren(
    el("div", { class: "views" }, ...views.map(([name, pixels]) => view(name, pixels))),
    el("figcaption", { class: "note" }, `${example.attack} by ${victim}. No value of a pixel changes by more than ${example.epsilon_255} of 255. Origin: ${example.origin}.`),
  );
}

function view(name, pixels) {
  const canvas = el("canvas", { class: "pixelated", role: "img", "aria-label": name });
  draw(canvas, pixels);
  return el("div", {}, canvas, el("span", {}, name));
}

/** Return |attacked - original| of each channel, amplified. */
function difference(original, attacked) {
  const found = new ImageData(original.width, original.height);
  for (let k = 0; k < found.data.length; k += 1) {
    const change = Math.abs(attacked.data[k] - original.data[k]);
    found.data[k] = k % 4 === 3 ? 255 : Math.min(255, FACTOR * change);
  }
  return found;
}
