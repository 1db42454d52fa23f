// A decoded picture becomes the model's input: RGB, row by row, read in a way that tells the truth.

import { UnreadableError } from "./picture.js";

// Pixels of the shorter side that will do for every model, as in demo/reading/upload.py.
const ENOUGH = 1024;
// Pixels that are taken off the picture at once; some phones draw no more than 16 million.
const STRIP = 2 ** 20;

/**
 * Returns a picture's pixels as uint8, transparency on white. One of whose shorter side half is still enough comes
 * smaller, by a whole factor, each pixel the mean of those it stands for.
 *
 * Throws an UnreadableError where this browser falsifies whatever a page reads.
 */
export async function pixelsOf(bitmap) {
  const read = await honestReader();
  const factor = Math.max(1, Math.floor(Math.min(bitmap.width, bitmap.height) / ENOUGH));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.ceil(side / factor));
  const rows = factor * Math.max(1, Math.floor(STRIP / bitmap.width / factor));
  const context = opaqueContext(bitmap.width, Math.min(rows, bitmap.height));
  const data = new Uint8Array(width * height * 3);
  for (let top = 0; top < bitmap.height; top += rows) {
    const high = Math.min(rows, bitmap.height - top);
    context.fillStyle = "white";
    context.fillRect(0, 0, bitmap.width, high);
    context.drawImage(bitmap, 0, -top);
    const rgba = (await read(context)).subarray(0, 4 * bitmap.width * high);
    const strip = data.subarray((top / factor) * width * 3);
    if (factor === 1) copy(rgba, strip);
    else shrink(rgba, bitmap.width, high, factor, strip);
  }
  return { data, width, height };
}

const opaqueContext = (width, height) =>
  new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, alpha: false });

/** Returns a function that reads what was drawn; not every browser leaves getImageData alone. */
async function honestReader() {
  for (const read of [fromImageData, fromVideoFrame]) if (await isHonest(read)) return read;
  throw new UnreadableError("falsified");
}

/**
 * Draws a pattern and tells whether what is read is the same.
 *
 * Against fingerprinting, Firefox's resistFingerprinting (Tor Browser, LibreWolf) and extensions give noise instead. The
 * visitor may allow or forbid it at any time, so each picture asks anew.
 */
export async function isHonest(read = fromImageData) {
  const [width, height] = [19, 13];
  const pattern = Uint8ClampedArray.from({ length: 4 * width * height }, (_, at) => (at % 4 === 3 ? 255 : (at * 89) % 256));
  const context = opaqueContext(width, height);
  const bitmap = await createImageBitmap(new ImageData(pattern, width, height));
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = await read(context).catch(() => []);
  // JPEG decoders differ by two levels, too.
  return pattern.every((level, at) => Math.abs(level - rgba[at]) <= 2);
}

async function fromImageData(context) {
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height).data;
}

async function fromVideoFrame({ canvas }) {
  const frame = new VideoFrame(canvas, { timestamp: 0 });
  try {
    const content = new Uint8ClampedArray(frame.allocationSize());
    const [{ offset, stride }] = await frame.copyTo(content);
    const rgba = new Uint8ClampedArray(4 * canvas.width * canvas.height);
    // WebKit gives the frame's own order of colours, whichever is asked for.
    const [red, blue] = frame.format.startsWith("BGR") ? [2, 0] : [0, 2];
    for (let y = 0, to = 0; y < canvas.height; y++) {
      const end = offset + y * stride + 4 * canvas.width;
      for (let at = offset + y * stride; at < end; at += 4, to += 4) {
        rgba[to] = content[at + red];
        rgba[to + 1] = content[at + 1];
        rgba[to + 2] = content[at + blue];
        rgba[to + 3] = 255;
      }
    }
    return rgba;
  } finally {
    frame.close();
  }
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
