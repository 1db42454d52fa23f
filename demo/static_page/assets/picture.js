// What visitors give: a file becomes a picture to show and to ask about, or the key of a friendly sentence.

// The limits of app.py: pictures/decoding.py, demo/reading/upload.py.
const MAX_PIXELS = 100_000_000;
const MIN_SIDE = 32;
const MAX_RATIO = 20;
const SVG = /^(\ufeff|\s|<!--[^]*?-->|<\?xml[^]*?\?>|<!doctype svg[^]*?>)*<svg[\s>]/i;
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
  // Browsers draw it, but give no pixels of it.
  if (SVG.test(await file.slice(0, 4096).text())) return "not_read";
  if (!width || !height) {
    const begins = await file.slice(4, 12).text();
    return HEIC.test(begins) ? "heic" : "not_read";
  }
  // Browsers show what there is of half a picture.
  if (!isWhole(new DataView(await file.arrayBuffer()))) return "damaged";
  if (width * height > MAX_PIXELS) return "too_large";
  if (Math.min(width, height) < MIN_SIDE) return "too_small";
  return Math.max(width, height) > MAX_RATIO * Math.min(width, height) ? "too_narrow" : null;
}

/** Tells whether a JPEG, PNG, WebP or GIF is there to its end; of another format nobody asks. */
export function isWhole(view) {
  const begins = view.byteLength < 12 ? 0 : view.getUint32(0);
  if (begins >>> 16 === 0xffd8) return jpegEnds(view);
  if (begins === 0x89504e47) return pngEnds(view);
  // RIFF, its length, WEBP
  if (begins === 0x52494646 && view.getUint32(8) === 0x57454250) return view.getUint32(4, true) + 8 <= view.byteLength;
  return begins !== 0x47494638 || gifEnds(view);
}

function jpegEnds(view) {
  // Markers are FF and a byte that is neither 0 nor FF; all but these have a length after them.
  const alone = (marker) => marker === 1 || (marker >= 0xd0 && marker <= 0xd8);
  for (let at = 2; at + 1 < view.byteLength; ) {
    const marker = view.getUint8(at + 1);
    if (view.getUint8(at) !== 0xff || marker === 0 || marker === 0xff) at += 1;
    else if (marker === 0xd9) return true;
    else if (alone(marker)) at += 2;
    else at += at + 3 < view.byteLength ? 2 + view.getUint16(at + 2) : 2;
  }
  return false;
}

function pngEnds(view) {
  for (let at = 8; at + 12 <= view.byteLength; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x49454e44) return true;
  }
  return false;
}

function gifEnds(view) {
  // Bytes of 0 may follow the trailer.
  let last = view.byteLength - 1;
  while (last > 0 && view.getUint8(last) === 0) last -= 1;
  return view.getUint8(last) === 0x3b;
}
