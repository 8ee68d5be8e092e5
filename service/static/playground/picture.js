// The picture that is tried: dropped, pasted, chosen, photographed, or an example.

import { byId, el } from "./dom.js";
import { showNotice } from "./errors.js";

let address = null;

/** Call `use(blob, name, count)` for the picture that a person gives, the first of `count`. */
export function listenForPictures(use) {
  const drop = byId("drop");
  for (const id of ["file", "camera"]) {
    byId(id).addEventListener("change", ({ target }) => {
      const [file] = target.files;
      if (file) use(file, file.name);
      target.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (!files.length) return;
    event.preventDefault();
    use(files[0], "pasted picture", files.length);
  });
  // The whole page takes a drop: a browser would leave the page for a file beside the target.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const files = event.dataTransfer?.files ?? [];
    if (files.length) use(files[0], files[0].name, files.length);
    else showNotice({ title: "This is no file", advice: "Save the picture as a file, or copy the picture itself and paste it." });
  });
}

/** Show the picture as the browser decodes it; a file that is none is left to the service. */
export function showPicture(blob, name, count) {
  const preview = byId("preview");
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(blob);
  preview.onload = () => preview.classList.toggle("pixelated", preview.naturalWidth < 128);
  preview.onerror = () => { preview.hidden = true; byId("drop-text").hidden = false; };
  preview.src = address;
  preview.alt = name;
  preview.hidden = false;
  byId("drop-text").hidden = true;
  const size = blob.size < 10_000 ? `${blob.size} bytes` : `${(blob.size / 1000).toFixed(0)} kB`;
  const others = count > 1 ? `. The first of ${count} files: the page tries one at a time.` : "";
  byId("caption").replaceChildren(el("bdi", { title: name }, name), `, ${size}${others}`);
}
