// A decoded picture becomes the model's input: RGB, row by row.

// Pixels of the shorter side that will do for every model, as in demo/reading/upload.py.
const ENOUGH = 1024;
// Pixels that are taken off the picture at once; some phones draw no more than 16 million.
const STRIP = 2 ** 20;

/**
 * Returns a picture's pixels as uint8, transparency on white. One of whose shorter side half is still enough comes
 * smaller, by a whole factor, each pixel the mean of those it stands for.
 */
export function pixelsOf(bitmap) {
  const factor = Math.max(1, Math.floor(Math.min(bitmap.width, bitmap.height) / ENOUGH));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.ceil(side / factor));
  const rows = factor * Math.max(1, Math.floor(STRIP / bitmap.width / factor));
  const canvas = new OffscreenCanvas(bitmap.width, Math.min(rows, bitmap.height));
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  const data = new Uint8Array(width * height * 3);
  for (let top = 0; top < bitmap.height; top += rows) {
    const high = Math.min(rows, bitmap.height - top);
    context.fillStyle = "white";
    context.fillRect(0, 0, bitmap.width, high);
    context.drawImage(bitmap, 0, -top);
    const rgba = context.getImageData(0, 0, bitmap.width, high).data;
    const strip = data.subarray((top / factor) * width * 3);
    if (factor === 1) copy(rgba, strip);
    else shrink(rgba, bitmap.width, high, factor, strip);
  }
  return { data, width, height };
}

function copy(rgba, rgb) {
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
}

function shrink(rgba, width, height, factor, rgb) {
  let to = 0;
  for (let top = 0; top < height; top += factor) {
    const bottom = Math.min(top + factor, height);
    for (let left = 0; left < width; left += factor) {
      const right = Math.min(left + factor, width);
      let [red, green, blue] = [0, 0, 0];
      for (let y = top; y < bottom; y++) {
        for (let at = 4 * (y * width + left); at < 4 * (y * width + right); at += 4) {
          red += rgba[at];
          green += rgba[at + 1];
          blue += rgba[at + 2];
        }
      }
      const count = (bottom - top) * (right - left);
      for (const sum of [red, green, blue]) rgb[to++] = Math.round(sum / count);
    }
  }
}
