// Pixels of small pictures: from a PNG, and back onto a canvas.

/** Return a base64 PNG as a Blob. */
export function pngBlob(base64) {
  return new Blob([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], { type: "image/png" });
}

/** Return the pixels of an encoded picture as ImageData. */
export async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Draw ImageData onto a canvas in its own size; CSS scales it. */
export function draw(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Return the n x 3 bytes of RGBA pixels without alpha. */
export function rgb({ data }) {
  const found = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    found[to++] = data[from];
    found[to++] = data[from + 1];
    found[to++] = data[from + 2];
  }
  return found;
}
