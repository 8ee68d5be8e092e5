// "Why?": cover parts of the model's input, and see how the score changes.

import { sendPixels } from "./api.js";
import { number } from "./dom.js";
import { rgb } from "./pixels.js";

const STEPS = 8; // positions of the cover in each direction
const MAX_BYTES = 8_000_000;

const ROWS = ["top", "middle", "bottom"];
const COLUMNS = ["left", "centre", "right"];

/**
 * Return the result in words, and a function that colours an overlay.
 *
 * `limits` are those of a request of the service. By default, all copies are in one request.
 */
export async function explainByOcclusion(model, pixels, score, limits) {
  const { width, height } = pixels;
  const size = width * height * 3;
  const steps = (STEPS * STEPS + 1) * size > MAX_BYTES ? 4 : STEPS;
  const places = covers(width, height, steps);
  const picture = rgb(pixels);
  const most = Math.max(1, Math.min(limits.max_images, Math.floor(limits.max_body_bytes / size)));
  const found = [];
  for (let from = 0; from <= places.length; from += most) {
    const some = [null, ...places].slice(from, from + most);
    const copies = coveredCopies(picture, some, width);
    const response = await sendPixels(model, "inspect", copies, [some.length, height, width]);
    found.push(...response.predictions.map((each) => each.scores[score]));
  }
  const [whole, ...scores] = found;
  const changes = scores.map((each) => (each == null || whole == null ? 0 : each - whole));
  return {
    text: inWords(places, changes, width, height),
    paint: (overlay) => paint(overlay, places, changes, width, height),
  };
}

/** The places of a square cover that moves in steps of half its side. */
function covers(width, height, steps) {
  const [w, h] = [width, height].map((side) => Math.max(1, Math.round((2 * side) / (steps + 1))));
  const at = (k, side, cover) => Math.round((k * (side - cover)) / (steps - 1));
  const places = [];
  for (let row = 0; row < steps; row += 1) {
    for (let column = 0; column < steps; column += 1) {
      places.push({ x: at(column, width, w), y: at(row, height, h), w, h });
    }
  }
  return places;
}

/** A copy of the picture for each place, with the mean colour there, or without it for null. */
function coveredCopies(picture, places, width) {
  const mean = [0, 1, 2].map((channel) => meanOf(picture, channel));
  const copies = new Uint8Array(picture.length * places.length);
  places.forEach((place, k) => {
    const start = picture.length * k;
    copies.set(picture, start);
    if (!place) return;
    const { x, y, w, h } = place;
    for (let row = y; row < y + h; row += 1) {
      for (let column = x; column < x + w; column += 1) {
        copies.set(mean, start + 3 * (row * width + column));
      }
    }
  });
  return copies;
}

function meanOf(picture, channel) {
  let sum = 0;
  for (let k = channel; k < picture.length; k += 3) sum += picture[k];
  return Math.round((3 * sum) / picture.length);
}

/** Colour each pixel by the mean change of the covers over it: orange where it looks unusual. */
function paint(overlay, places, changes, width, height) {
  const sums = new Float64Array(width * height);
  const counts = new Float64Array(width * height);
  places.forEach(({ x, y, w, h }, k) => {
    for (let row = y; row < y + h; row += 1) {
      for (let column = x; column < x + w; column += 1) {
        sums[row * width + column] += changes[k];
        counts[row * width + column] += 1;
      }
    }
  });
  const means = sums.map((sum, k) => (counts[k] ? sum / counts[k] : 0));
  const most = means.reduce((found, each) => Math.max(found, Math.abs(each)), 1e-12);
  const image = new ImageData(width, height);
  means.forEach((mean, k) => {
    image.data.set(mean < 0 ? [255, 140, 0] : [40, 110, 255], 4 * k);
    image.data[4 * k + 3] = Math.round(210 * (Math.abs(mean) / most));
  });
  overlay.width = width;
  overlay.height = height;
  overlay.getContext("2d").putImageData(image, 0, 0);
}

function inWords(places, changes, width, height) {
  const name = (k) => {
    const { x, y, w, h } = places[k];
    const row = ROWS[Math.min(2, Math.floor((3 * (y + h / 2)) / height))];
    const column = COLUMNS[Math.min(2, Math.floor((3 * (x + w / 2)) / width))];
    return row === "middle" && column === "centre" ? "centre" : `${row} ${column}`;
  };
  const lowest = changes.indexOf(Math.min(...changes));
  const highest = changes.indexOf(Math.max(...changes));
  const parts = [];
  if (changes[lowest] < 0) parts.push(`Orange: what looks unusual. Covered at the ${name(lowest)}, the score falls by ${number(-changes[lowest])}.`);
  if (changes[highest] > 0) parts.push(`Blue: what looks familiar. Covered at the ${name(highest)}, it rises by ${number(changes[highest])}.`);
  return parts.join(" ") || "No part of the picture changes the score alone.";
}
