// What visitors give: a file becomes a picture to show and to ask about, or the key of a friendly sentence.

// The limits of app.py: pictures/decoding.py, demo/reading/upload.py.
const MAX_PIXELS = 100_000_000;
const MIN_SIDE = 32;
const MAX_RATIO = 20;
// What an ISO media file of HEVC pictures says of itself, from its fifth byte on.
const HEIC = /^ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)/;

export class UnreadableError extends Error {
  /** `key` is that of the sentence, among the page's words. */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

/** Returns an image element that shows a file, once its size is known; nothing of it is decoded before that. */
export async function readPicture(file) {
  if (file.size === 0) throw new UnreadableError("empty");
  const image = new Image();
  image.src = URL.createObjectURL(file);
  await new Promise((done) => (image.onload = image.onerror = done));
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const key = (await fault(file, width, height)) ?? "";
  if (key) {
    URL.revokeObjectURL(image.src);
    throw new UnreadableError(key);
  }
  return image;
}

async function fault(file, width, height) {
  if (!width || !height) {
    const begins = await file.slice(4, 12).text();
    return HEIC.test(begins) ? "heic" : "not_read";
  }
  if (width * height > MAX_PIXELS) return "too_large";
  if (Math.min(width, height) < MIN_SIDE) return "too_small";
  return Math.max(width, height) > MAX_RATIO * Math.min(width, height) ? "too_narrow" : null;
}
