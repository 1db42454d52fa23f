// The page: a picture in; a verdict, every probability and their reasons out. Nothing leaves the visitor's device.

import { givingPlace } from "./giving.js";
import { loadingLine } from "./loading.js";
import { make } from "./make.js";
import { readPicture } from "./picture.js";
import { about, answer, drawingsBanner, empty, examples, title } from "./showing.js";
import { isSupported } from "./support.js";
import { judge } from "./verdict.js";
import { readWords } from "./words.js";

const here = (file) => new URL(file, import.meta.url).href;
const site = await (await fetch(here("site.json"))).json();
const words = await readWords(site.languages, navigator.language);
const total = site.model.bytes + site.runtime.bytes + (site.reference?.bytes ?? 0);

let worker;
let isReady = false;
// What the visitor has given last; what it replaced is not waited for. `urls` are given back with it.
let current = { id: 0, image: null, file: null, urls: [] };

const loading = loadingLine(words, total, load);
const photo = givingPlace(words, give, refuse, () => {
  replace();
  show(empty(words, site, "waiting", words("waiting")));
});
const place = make("div", { id: "answer" }, empty(words, site, "waiting", words("waiting")));

dress();
document.getElementById("page").replaceChildren(
  make("div", { id: "title" }, title(words)),
  site.drawings ? make("div", { id: "drawings" }, drawingsBanner(words)) : "",
  make(
    "div",
    { class: "columns" },
    make("div", {}, photo.element, loading.element, make("div", { id: "examples" }, ...examples(words, site, give))),
    place,
  ),
  make("div", { id: "about" }, about(words, site)),
);
if (isSupported()) {
  load();
  // Without it the page works as well, but not without a network.
  navigator.serviceWorker?.register("service_worker.js").catch(() => {});
} else loading.hopeless("too_old");

/** Wears what a page that embeds this one asks for, else what the visitor's device does. */
function dress() {
  document.documentElement.lang = words.language;
  const asked = new URLSearchParams(location.search).get("__theme");
  const night = matchMedia("(prefers-color-scheme: dark)");
  const put = () => document.documentElement.classList.toggle("dark", asked ? asked === "dark" : night.matches);
  night.addEventListener("change", put);
  put();
}

/** Starts the worker, which fetches the model; a new one where the last has failed. */
function load() {
  worker?.terminate();
  worker = new Worker(here("worker.js"), { type: "module" });
  worker.addEventListener("message", ({ data }) => hear(data));
  worker.addEventListener("error", () => loading.failed("failed_fetch"));
  loading.fetching(0);
  worker.postMessage({ site });
}

function hear(said) {
  if (said.failed) {
    // What else it was fetching is of no use.
    worker.terminate();
    loading.failed(said.failed);
  } else if (said.starting) loading.starting();
  else if (said.fetched) loading.fetching(said.fetched);
  else if (said.ready) {
    isReady = true;
    loading.ready();
    ask();
  } else if (said.id === current.id) tell(said);
}

async function give(file) {
  replace();
  const given = current;
  show(empty(words, site, "waiting", words("looking")));
  try {
    const image = await readPicture(file);
    given.urls.push(image.src);
    if (given !== current) return release(given);
    image.alt = words("picture");
    Object.assign(given, { file, image });
    photo.show(image);
  } catch (error) {
    if (given === current) refuse(error.key);
    return;
  }
  ask();
}

function ask() {
  const { id, file } = current;
  if (isReady && file) worker.postMessage({ id, file });
}

function tell({ probs, heat, near, fault }) {
  if (fault) return refuse(fault);
  if (heat) heat.picture = current.image.src;
  for (const neighbour of near?.neighbours ?? []) neighbour.src = neighbour.jpeg && addressOf(neighbour.jpeg);
  show(answer(words, site, judge(probs, site.threshold, near?.ood, site.sets), probs, heat, near));
}

/** Returns an address for something to show, which is given back with the current picture. */
function addressOf(blob) {
  const url = URL.createObjectURL(blob);
  current.urls.push(url);
  return url;
}

function refuse(key) {
  // Firefox lets visitors allow it once the page itself, rather than its worker, has tried.
  if (key === "falsified") make("canvas").getContext("2d").getImageData(0, 0, 1, 1);
  show(empty(words, site, "fault", words(key)));
}

function replace() {
  release(current);
  current = { id: current.id + 1, image: null, file: null, urls: [] };
  photo.show(null);
}

function release(given) {
  given.urls.forEach((url) => URL.revokeObjectURL(url));
}

function show(card) {
  place.replaceChildren(card);
}
