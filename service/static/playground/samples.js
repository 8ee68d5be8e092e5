// The gallery of sampled rejections. Its images are those of clients: each is fetched with the key.

import { send, sendForObject } from "./api.js";
import { byId, el, percent } from "./dom.js";

/** Fetch and show the newest sampled rejections. */
export async function showSamples() {
  const { samples } = await sendForObject("admin/samples");
  const list = byId("samples");
  for (const image of list.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      load(target);
    }
  });
  list.replaceChildren(...samples.map((sample) => {
    const image = el("img", { alt: `Rejected picture, predicted ${sample.label}`, width: 96, height: 96 });
    image.dataset.file = sample.file ?? "";
    if (sample.file) observer.observe(image);
    const time = new Date(sample.time);
    return el("li", {}, image,
      el("strong", {}, sample.label),
      el("span", { class: "note" }, `p ${percent(sample.p_value)}, ${sample.model} ${sample.version}`),
      el("time", { class: "note", datetime: sample.time }, time.toLocaleString()));
  }));
  byId("samples-note").textContent = samples.length
    ? `The newest ${samples.length} rejected images that the service has stored.`
    : "The service has stored no rejected image.";
}

async function load(image) {
  try {
    const response = await send(`admin/samples/${encodeURIComponent(image.dataset.file)}`);
    image.src = URL.createObjectURL(await response.blob());
  } catch (error) {
    image.alt = error.status === 404 ? "The image is no longer stored." : "The image could not be read: refresh the list.";
  }
}
