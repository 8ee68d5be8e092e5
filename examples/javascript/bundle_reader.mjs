// Read a bundle and decide about PNG images, as docs/bundle.md describes it.
//
//   npm install && node bundle_reader.mjs BUNDLE IMAGE.png ...
//
// It prints one JSON object for each image. The policy is alpha = delta = 0.05 for all images
// together. Images are opaque PNGs of any size; JPEG, EXIF, transparency and the resize rules
// letterbox and crop:N are left to an image library.

import { createHash } from "node:crypto";
import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as ort from "onnxruntime-web";
import { PNG } from "pngjs";
import { resize } from "./resize.mjs";

const FILES = ["model.onnx", "calibration.safetensors", "evaluation.json", "README.md"];

/** Open a bundle; every byte must be that of the manifest, whose sha256 is the identity. */
export async function openBundle(folder, { alpha = 0.05, delta = 0.05 } = {}) {
  const content = await readFile(join(folder, "manifest.json"));
  const manifest = JSON.parse(content);
  if (![1, 2, 3].includes(manifest.schema_version)) {
    throw new Error(`schema_version is ${manifest.schema_version}, expected 1, 2 or 3`);
  }
  const files = {};
  for (const name of FILES) {
    files[name] = await readFile(join(folder, name));
    if (sha256(files[name]) !== manifest.files[name].sha256) {
      throw new Error(`${name} is not the file of the manifest`);
    }
  }
  const tensors = safetensors(files["calibration.safetensors"]);
  if (tensors.groups) {
    throw new Error("the calibration has groups, expected independent images");
  }
  const column = manifest.scores.indexOf(manifest.default_score);
  const { shape, data } = tensors.scores;
  const [rows, columns] = shape;
  const calibration = Float32Array.from({ length: rows }, (_, row) => data[row * columns + column]);
  calibration.sort();
  const rank = rejectionRank(calibration.length, alpha, delta);
  return {
    manifest,
    sha256: sha256(content),
    column,
    calibration,
    threshold: calibration[calibration.length - rank],
    session: await ort.InferenceSession.create(files["model.onnx"]),
  };
}

/** Return the verdict on an image `{ width, height, rgb }` of 8-bit pixels, row by row. */
export async function predict(bundle, image) {
  const { classes, input, scores } = bundle.manifest;
  const { rgb } = resize(image, input);
  const images = new ort.Tensor("uint8", rgb, [1, input.height, input.width, 3]);
  const out = await bundle.session.run({ images });
  const logits = Array.from(out.logits.data);
  const score = out.scores.data[bundle.column];
  const atOrAbove = bundle.calibration.filter((each) => each >= score).length;
  return {
    label: classes[logits.indexOf(Math.max(...logits))],
    scores: Object.fromEntries(scores.map((name, index) => [name, out.scores.data[index]])),
    threshold: bundle.threshold,
    p_value: (1 + atOrAbove) / (bundle.calibration.length + 1),
    // Not `score > threshold`: a score that is not a number is rejected.
    decision: score <= bundle.threshold ? "accept" : "reject",
  };
}

/** Return the largest k with BetaCDF(alpha; k, n + 1 - k) >= 1 - delta. */
export function rejectionRank(n, alpha, delta) {
  // The condition is P(Binomial(n, alpha) <= k - 1) <= delta.
  let logTerm = n * Math.log1p(-alpha);
  let sum = 0;
  for (let k = 0; k <= n; k += 1) {
    sum += Math.exp(logTerm);
    if (sum > delta) {
      if (k < 1) throw new Error(`${n} calibration images are too few for alpha ${alpha}`);
      return k;
    }
    logTerm += Math.log((n - k) / (k + 1)) + Math.log(alpha) - Math.log1p(-alpha);
  }
  return n;
}

/** Return the tensors of a safetensors file: its header has the type, shape and place of each. */
function safetensors(file) {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length));
  const types = { F32: Float32Array, I32: Int32Array };
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const bytes = file.subarray(8 + length + start, 8 + length + end);
    tensors[name] = { shape, data: new types[dtype](new Uint8Array(bytes).buffer) };
  }
  return tensors;
}

function sha256(content) {
  return createHash("sha256").update(content).digest("hex");
}

/** Decode a PNG without transparency. */
export function decodePng(content) {
  const { width, height, data } = PNG.sync.read(content);
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    if (data[4 * pixel + 3] !== 255) throw new Error("the image is transparent, expected an opaque one");
    rgb.set(data.subarray(4 * pixel, 4 * pixel + 3), 3 * pixel);
  }
  return { width, height, rgb };
}

if (process.argv[1] && import.meta.url === pathToFileURL(await realpath(process.argv[1])).href) {
  const bundle = await openBundle(process.argv[2]);
  for (const name of process.argv.slice(3)) {
    const verdict = await predict(bundle, decodePng(await readFile(name)));
    console.log(JSON.stringify({ image: name, ...verdict }));
  }
}
