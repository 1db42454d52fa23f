// What the page shows: the HTML of demo/telling/showing.html, made of elements. What a model folder or a file's name
// says only ever becomes text.

import { link, make } from "./make.js";
import { heatDetails, nearDetails } from "./reasons.js";
import { either, order, percent } from "./verdict.js";

const MOST_BARS = 12;
// Letters of a name that stands beside its bar.
const LONGEST_NAME = 14;

/** Returns the page's name and what it asks. */
export const title = (words) =>
  make("header", {}, make("h1", {}, "Nritya ", make("span", { lang: "hi" }, "नृत्य")), make("p", {}, words("intro")));

/** Returns the warning that a model knows drawings only. */
export const drawingsBanner = (words) =>
  make("p", {}, make("b", {}, words("drawings_title")), ` ${words("drawings_text")}`);

/**
 * Returns the verdict, a bar for every class, and what there is to tell; `heat` also has the address of the
 * picture, `near` those of the pictures to be shown. Either may be null.
 */
export function answer(words, site, verdict, probs, heat, near) {
  const { kind, dances } = verdict;
  const told = dances.map((number) => site.dances[number]);
  const bars = order(probs).map((number) =>
    bar(site.dances[number].name, `${percent(probs[number])} %`, 100 * probs[number], dances.includes(number)),
  );
  const likeliest = site.dances[order(probs)[0]];
  return card(words, site, kind, sentence(words, verdict, told), reason(words, verdict, site.threshold, told), bars, [
    make(
      "div", { class: "told" }, possible(words, site, verdict), ...told.flatMap((dance) => facts(words, dance, told.length)),
      pair(words, site, verdict) ?? confused(words, site, verdict),
    ),
    heat && heatDetails(words, heat, likeliest.name),
    near?.neighbours.length > 0 && nearDetails(words, near.neighbours, site.reference),
  ]);
}

/** Returns what stands in an answer's place where there is none, of about its height. */
export function empty(words, site, kind, text) {
  const bars = site.dances.map((dance) => bar(dance.name, "–", 0, false));
  const told = make("div", { class: "told" }, make("p", { class: "waiting" }, words("waiting_told")));
  return card(words, site, kind, text, [], bars, [told]);
}

/** Returns the pictures to offer, each a button that calls `choose` with its file; they are fetched once, at the start. */
export function examples(words, site, choose) {
  if (!site.examples.length) return [];
  const credits = new Set(site.examples.map((example) => example.credit));
  const items = site.examples.map((example) => {
    const image = make("img", { alt: "" });
    const button = make("button", { type: "button", disabled: true }, image, make("span", {}, example.name));
    fetchFile(example.file).then((file) => {
      image.src = URL.createObjectURL(file);
      button.disabled = false;
      button.addEventListener("click", () => choose(file));
    });
    return make("li", {}, button, credits.size > 1 && example.credit && make("small", { lang: "en" }, example.credit));
  });
  return [
    make("h2", {}, words(site.drawings ? "examples_drawings" : "examples_pictures")),
    make("ul", {}, ...items),
    // Said once where it is the same for all.
    credits.size === 1 && make("p", { class: "credit", lang: "en" }, ...credits),
  ].filter(Boolean);
}

async function fetchFile(file) {
  return (await fetch(new URL(file, import.meta.url))).blob();
}

/** Returns what there is to say of the model. */
export function about(words, site) {
  const it = site.about;
  const count = it.pictures === null ? "" : it.pictures.toLocaleString("en");
  return make(
    "dl",
    {},
    make("dt", {}, words("about_model")),
    make(
      "dd", {}, make("b", {}, it.name), it.revision && ` · ${words("about_revision", { revision: it.revision })}`,
      it.report && " · ", it.report && link(words("about_report"), it.report),
    ),
    it.data && make("dt", {}, words("about_data")),
    it.data &&
      make(
        "dd", {}, link(it.data, it.data_url),
        count && ` · ${words(site.drawings ? "about_drawings" : "about_pictures", { count })}`,
        it.licenses && " · ", it.licenses && make("span", { lang: "en" }, it.licenses),
      ),
    make("dt", {}, words("about_test")),
    make("dd", {}, words(it.test_key, it.test ?? {})),
    make("dt", {}, words("about_file")),
    make("dd", {}, words(it.file_key, it.file_values)),
    make("dt", {}, words("about_runs")),
    make("dd", {}, words("about_runs_here")),
  );
}

function card(words, site, kind, said, why, bars, below) {
  // By code points, as Python counts.
  const long = site.dances.some(({ name }) => [...name].length > LONGEST_NAME) ? " long" : "";
  const list = (items) => make("ol", { class: `bars${long}`, "aria-label": words("probabilities") }, ...items);
  const rest = bars.slice(MOST_BARS);
  return make(
    "div",
    { class: `answer ${kind}` },
    make(
      "div", { class: "said", role: "status" }, make("p", { class: "verdict" }, said), make("p", { class: "reason" }, ...why),
    ),
    list(bars.slice(0, MOST_BARS)),
    rest.length > 0 &&
      make("details", { class: "rest" }, make("summary", {}, words("more", { count: rest.length })), list(rest)),
    make("div", { class: "below" }, ...below.filter(Boolean)),
  );
}

function bar(name, share, width, own) {
  const filled = make("i");
  filled.style.width = `${width.toFixed(1)}%`;
  const track = make("span", { class: "track", "aria-hidden": "true" }, filled);
  return make(
    "li", { class: own && "own" }, make("span", { class: "name" }, name), track, make("span", { class: "share" }, share),
  );
}

function sentence(words, { kind, probability }, told) {
  if (kind === "sure") return words("sure", { dance: told[0].name, percent: percent(probability) });
  return kind === "unsure" ? words("unsure", { dances: either(told.map((dance) => dance.name), words) }) : words("ood");
}

function reason(words, { kind, probability }, threshold, told) {
  if (kind === "sure") return home(told[0]);
  if (kind === "ood") return [words("ood_why")];
  const shares = { percent: percent(probability), threshold: percent(threshold.value) };
  if (threshold.promised === null) return [words("unsure_below", shares)];
  return [words("unsure_promised", { ...shares, promised: percent(threshold.promised) })];
}

function home(dance) {
  const native = dance.native && make("span", { class: "native", lang: dance.native_language || null }, dance.native);
  const region = dance.region && make("span", { class: "region", lang: dance.language }, dance.region);
  return [native, native && region && " · ", region].filter(Boolean);
}

function facts(words, dance, many) {
  const fact = dance.fact && make("p", { lang: dance.language }, dance.fact);
  const looks = make("span", { lang: dance.language }, dance.look_for);
  return [
    many > 1 ? make("h2", {}, `${dance.name} `, ...home(dance)) : fact,
    dance.look_for && make("p", {}, make("b", {}, words("look_for")), " ", looks),
  ];
}

function possible(words, site, { set }) {
  if (set.length < 2) return null;
  const { coverage, elsewhere, pictures } = site.sets;
  const dances = either(set.map((number) => site.dances[number].name), words);
  const text =
    elsewhere === null
      ? words("set", { dances, percent: percent(coverage) })
      : words("set_elsewhere", { dances, percent: percent(elsewhere), pictures });
  return make("p", { class: "set" }, text);
}

function pair(words, site, { dances, set }) {
  if (!site.pair?.dances.every((number) => dances.includes(number) || set.includes(number))) return null;
  const [first, second] = site.pair.dances.map((number) => site.dances[number].name);
  const text = words("pair", { first, second, count: site.pair.mistakes, pictures: site.pair.pictures });
  return make("p", { class: "confused" }, text);
}

function confused(words, site, { dances }) {
  const found = dances.length === 1 && site.confusions[dances[0]];
  if (!found) return null;
  const others = found.others.map(({ name, count }) => `${name} (${count})`).join(", ");
  const text = words("confused", { pictures: found.pictures, dance: site.dances[dances[0]].name, others });
  return make("p", { class: "confused" }, text);
}
