// Crop and resize an image exactly as Pillow does, which training and service use.
//
// Pillow computes with 8-bit pixels and weights of 22 bits after the point, each row and then each
// column or the reverse, and rounds after both. The same numbers here give the same pixels.

const PRECISION = 2 ** 22;

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight(x) {
      const a = -0.5;
      const t = Math.abs(x);
      if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
    },
  },
};

/**
 * Return an image `{ width, height, rgb }` as the input of a model: the largest centred box with its
 * aspect ratio (`crop`) or the whole image (`stretch`), scaled.
 */
export function resize(image, { width, height, fit, resample, resize: scaledTo = null }) {
  if (fit === "letterbox" || scaledTo !== null) throw new Error(`the resize rule ${fit} is not supported, expected crop or stretch`);
  if (image.width === width && image.height === height) return image;
  const wide = fit === "crop" ? Math.min(image.width, (image.height * width) / height) : image.width;
  const high = fit === "crop" ? Math.min(image.height, (image.width * height) / width) : image.height;
  const left = (image.width - wide) / 2;
  const upper = (image.height - high) / 2;
  const columns = weights(image.width, left, left + wide, width, FILTERS[resample]);
  const rows = weights(image.height, upper, upper + high, height, FILTERS[resample]);
  // The order of Pillow 13. Earlier releases scale the rows first.
  if (height < image.height && image.height - height > 2 * (image.width - width)) {
    const low = scale(image.rgb, image.width, rows, [3 * image.width, 3], [3 * image.width, 3]);
    return { width, height, rgb: scale(low, height, columns, [3, 3 * image.width], [3, 3 * width]) };
  }
  const narrow = scale(image.rgb, image.height, columns, [3, 3 * image.width], [3, 3 * width]);
  return { width, height, rgb: scale(narrow, width, rows, [3 * width, 3], [3 * width, 3]) };
}

/** Return the first source pixel and the weights of each of `count` pixels between two positions. */
function weights(length, start, stop, count, { support, weight }) {
  const from = Math.fround(start); // Pillow's boxes are of single precision
  const step = Math.fround(Math.fround(stop) - from) / count;
  const stretch = Math.max(step, 1);
  return Array.from({ length: count }, (_, position) => {
    const centre = from + (position + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const end = Math.min(length, Math.trunc(centre + support * stretch + 0.5));
    const found = Array.from({ length: end - first }, (__, k) => weight((k + first - centre + 0.5) * (1 / stretch)));
    const sum = found.reduce((total, each) => total + each, 0);
    const fixed = found.map((each) => (sum ? each / sum : each) * PRECISION);
    return { first, values: fixed.map((each) => Math.trunc(each + (each < 0 ? -0.5 : 0.5))) };
  });
}

/** Scale rows or columns, here lines; their pixels and the lines are so many bytes apart. */
function scale(source, lines, positions, [pixelIn, lineIn], [pixelOut, lineOut]) {
  const target = new Uint8Array(lines * positions.length * 3);
  for (let line = 0; line < lines; line += 1) {
    positions.forEach(({ first, values }, position) => {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = PRECISION / 2;
        const place = line * lineIn + first * pixelIn + channel;
        for (let k = 0; k < values.length; k += 1) sum += source[place + k * pixelIn] * values[k];
        const value = Math.floor(sum / PRECISION);
        target[line * lineOut + position * pixelOut + channel] = Math.min(255, Math.max(0, value));
      }
    });
  }
  return target;
}
