// The model, away from the page, which stays quick while this computes. Fetches and keeps it, then answers.

import { fitHead } from "./head.js";
import { layOver } from "./heatmap.js";
import { readReference } from "./nearest.js";
import { pixelsOf } from "./pixels.js";
import { InferenceSession, Tensor, env } from "./runtime/ort.wasm.bundle.min.mjs";

const HERE = new URL(".", import.meta.url).href;
// As in service_worker.js, which forgets it when there is a newer build.
const NAME = `nritya ${HERE}`;

// Pixels each way of the small copies that stand for a visitor's pictures.
const SMALL = 160;

// `reference` is null where the model folder has none, `head` where the visitor has taught nothing.
let session, crop, reference;
let head = null;

addEventListener("message", ({ data }) => {
  if (data.site) load(data.site);
  else if (data.fit) fitClasses(data);
  else if (data.learn) sendFeatures(data);
  else answer(data);
});

async function load(site) {
  crop = site.crop;
  let fetched = 0;
  const report = (bytes) => postMessage({ fetched: (fetched += bytes) });
  let contents;
  try {
    const files = [site.runtime, site.model, site.reference].filter(Boolean);
    contents = await Promise.all(files.map((file) => fetchKept(file, report)));
  } catch {
    postMessage({ failed: "failed_fetch" });
    return;
  }
  postMessage({ starting: true });
  try {
    const [runtime, network, features] = contents;
    env.wasm.wasmBinary = await unpacked(runtime);
    // More need headers that neither a static Space nor GitHub Pages sends by itself.
    env.wasm.numThreads = 1;
    // Memory for the largest picture so far would be kept for good.
    session = await InferenceSession.create(network, { executionProviders: ["wasm"], enableCpuMemArena: false });
    reference = site.reference && readReference(features, site.reference);
  } catch (error) {
    console.error(error);
    postMessage({ failed: "failed_start" });
    return;
  }
  postMessage({ ready: true });
}

/** Returns a file's bytes from this device, else from the server, reporting each piece, and keeps them. */
async function fetchKept({ file, bytes }, report) {
  const url = HERE + file;
  // Only pages that came encrypted, or from this device, may keep something; and visitors may forbid it.
  const cache = await globalThis.caches?.open(NAME).catch(() => null);
  const kept = await cache?.match(url).catch(() => null);
  if (kept) {
    report(bytes);
    return new Uint8Array(await kept.arrayBuffer());
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  const pieces = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    report(value.length);
  }
  const content = await new Blob(pieces).arrayBuffer();
  if (content.byteLength < bytes) throw new Error(`${file}: incomplete`);
  // A device without room for it fetches it again the next time.
  await cache?.put(url, new Response(content)).catch(() => {});
  return new Uint8Array(content);
}

/** Unpacks gzip, which some servers have done already. */
async function unpacked(content) {
  if (content[0] !== 0x1f || content[1] !== 0x8b) return content.buffer;
  return new Response(new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function answer({ id, file }) {
  return look(file, { id }, async (said, bitmap) => {
    const [probs, seen] = [said.probs.data, said.features.data];
    // Written so that NaN fails, too.
    if (!probs.every((share) => share >= 0 && share <= 1)) throw new Error("no probabilities");
    const near = reference && reference.nearestTo(seen);
    const taught = head && { fit: head.fit, ...head.answer(seen, probs, near) };
    const isOwn = taught !== null && taught.number < head.count;
    // A map of another class would be a lie: where the graph gives none to make one of, there is none.
    const map = isOwn ? said.maps && head.heat(said.maps, seen, taught.number) : said.heatmap;
    const heat = map ? await heatOver(map, bitmap.width, bitmap.height) : null;
    return { probs, heat, near, taught };
  });
}

/** Gives the features of a picture that a visitor teaches by, and a small copy of it. */
function sendFeatures({ learn, file }) {
  return look(file, { learn }, async ({ features }, bitmap) => {
    if (!features.data.every(Number.isFinite)) throw new Error("no features");
    const canvas = new OffscreenCanvas(SMALL, SMALL);
    const scale = SMALL / Math.min(bitmap.width, bitmap.height);
    const [wide, high] = [bitmap.width * scale, bitmap.height * scale];
    canvas.getContext("2d").drawImage(bitmap, (SMALL - wide) / 2, (SMALL - high) / 2, wide, high);
    return { features: features.data, small: await canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 }) };
  });
}

/** Fits the visitor's head to the features of `classes`, or forgets it where there are none. */
function fitClasses({ fit, classes, beside }) {
  head = classes ? { fit, count: classes.length, ...fitHead(classes, beside ? reference : null) } : null;
  postMessage({ fit, fitted: head && head.said });
}

/** Runs the model on a file and posts what `tell` makes of its outputs, or the key of a sentence, with `reply`. */
async function look(file, reply, tell) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    postMessage({ ...reply, fault: "not_decoded" });
    return;
  }
  try {
    const { data, width, height } = await pixelsOf(bitmap);
    const said = await session.run({ image: new Tensor("uint8", data, [height, width, 3]) });
    postMessage({ ...reply, ...(await tell(said, bitmap)) });
  } catch (error) {
    console.error(error);
    postMessage({ ...reply, fault: error.key ?? "no_numbers" });
  } finally {
    bitmap.close();
  }
}

function heatOver({ data, dims }, width, height) {
  return { ...layOver({ values: data, rows: dims[0], columns: dims[1] }, crop, width, height), width, height };
}
