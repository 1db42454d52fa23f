// The page: a picture in; a verdict, every probability and their reasons out. Nothing leaves the visitor's device.

import { givingPlace } from "./giving.js";
import { loadingLine } from "./loading.js";
import { make } from "./make.js";
import { readPicture } from "./picture.js";
import { about, drawingsBanner, empty, examples, title } from "./showing.js";
import { isSupported } from "./support.js";
import { teachingPlace } from "./teach.js";
import { readWords } from "./words.js";

const here = (file) => new URL(file, import.meta.url).href;
const site = await (await fetch(here("site.json"))).json();
const words = await readWords(site.languages, navigator.language);
const nameOf = translate(words.dances ?? site.dances);
const total = site.model.bytes + site.runtime.bytes + (site.reference?.bytes ?? 0);

let worker;
let isReady = false;
// What the visitor has given last; what it replaced is not waited for. `urls` are given back with it.
let current = { id: 0, image: null, file: null, urls: [] };

const loading = loadingLine(words, total, load);
const photo = givingPlace(words, give, refuse, () => {
  replace();
  show(blank("waiting", "waiting"));
});
const teaching = teachingPlace(words, site, (message) => worker.postMessage(message), taught);
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
  isSupported() ? teaching.element : "",
  make("div", { id: "about" }, about(words, site)),
);
if (isSupported()) {
  load();
  // Without it the page works as well, but not without a network.
  navigator.serviceWorker?.register("service_worker.js").catch(() => {});
} else loading.hopeless("too_old");

/** Tells of the classes what this language does; returns a function from a class's name to its name there. */
function translate(dances) {
  const names = new Map(site.dances.map(({ name }, number) => [name, dances[number].name]));
  const nameOf = (name) => names.get(name) ?? name;
  const named = (told) => ({ ...told, name: nameOf(told.name) });
  const confusions = site.confusions.map((found) => found && { ...found, others: found.others.map(named) });
  Object.assign(site, { dances, confusions, examples: site.examples.map(named) });
  return nameOf;
}

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
    teaching.ready();
    ask();
  } else if (said.learn || said.fit) teaching.hear(said);
  else if (said.id === current.id) tell(said);
}

async function give(file) {
  replace();
  // On a phone the examples come last.
  photo.element.scrollIntoView({ block: "nearest" });
  const given = current;
  show(blank("waiting", "looking"));
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

function tell(said) {
  const { heat, near, fault } = said;
  if (fault) return refuse(fault);
  if (heat) heat.picture = current.image.src;
  for (const neighbour of near?.neighbours ?? []) {
    Object.assign(neighbour, { name: nameOf(neighbour.name), src: neighbour.jpeg && addressOf(neighbour.jpeg) });
  }
  show(teaching.answer(said));
}

/** Answers anew: with the visitor's own classes, with others, or without them. */
function taught() {
  if (current.file) ask();
  else show(blank("waiting", "waiting"));
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
  show(blank("fault", key));
}

function blank(kind, key) {
  return empty(words, teaching.site(), kind, words(key));
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
