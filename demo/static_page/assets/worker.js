// The model, away from the page, which stays quick while this computes. Fetches and keeps it, then answers.

import { layOver } from "./heatmap.js";
import { readReference } from "./nearest.js";
import { pixelsOf } from "./pixels.js";
import { InferenceSession, Tensor, env } from "./runtime/ort.wasm.bundle.min.mjs";

const HERE = new URL(".", import.meta.url).href;
// As in service_worker.js, which forgets it when there is a newer build.
const NAME = `nritya ${HERE}`;

// `nearestTo` is null where the model folder has no reference.
let session, crop, nearestTo;

addEventListener("message", ({ data }) => (data.site ? load(data.site) : answer(data)));

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
    const [runtime, network, reference] = contents;
    env.wasm.wasmBinary = await unpacked(runtime);
    // More need headers that neither a static Space nor GitHub Pages sends by itself.
    env.wasm.numThreads = 1;
    // Memory for the largest picture so far would be kept for good.
    session = await InferenceSession.create(network, { executionProviders: ["wasm"], enableCpuMemArena: false });
    nearestTo = site.reference && readReference(reference, site.reference);
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

async function answer({ id, file }) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    postMessage({ id, fault: "not_decoded" });
    return;
  }
  try {
    const { data, width, height } = await pixelsOf(bitmap);
    const said = await session.run({ image: new Tensor("uint8", data, [height, width, 3]) });
    const probs = said.probs.data;
    // Written so that NaN fails, too.
    if (!probs.every((share) => share >= 0 && share <= 1)) throw new Error("no probabilities");
    const heat = said.heatmap ? heatOver(said.heatmap, bitmap.width, bitmap.height) : null;
    postMessage({ id, probs, heat, near: nearestTo && nearestTo(said.features.data) });
  } catch (error) {
    console.error(error);
    postMessage({ id, fault: error.key ?? "no_numbers" });
  } finally {
    bitmap.close();
  }
}

function heatOver({ data, dims }, width, height) {
  return { ...layOver({ values: data, rows: dims[0], columns: dims[1] }, crop, width, height), width, height };
}
