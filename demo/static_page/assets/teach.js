// Teach it yours: a visitor names classes and gives pictures of them; the model tells them apart by what it sees in
// them (head.js, in the worker). Everything stays on the device, and is kept only in a file that the visitor saves.

import { classCard } from "./class_card.js";
import { ENOUGH_FOR_DISTANCE } from "./head.js";
import { make } from "./make.js";
import { UnreadableError, readPicture } from "./picture.js";
import { LIMITS, SavedClassesError, fromFile, toText } from "./saved_classes.js";
import { answer as answerCard } from "./showing.js";
import { judge } from "./verdict.js";

// Nobody has measured from where on the visitor's head is right: likelier than all the others together.
const THRESHOLD = { value: 0.5, promised: null };
const MOST_FAULTS = 4;

/**
 * Returns the place where classes are taught: its `element`; `ready` when the model is; `hear` for the worker's replies;
 * `site`, what the page shows classes by; and `answer`, the card of an answer.
 *
 * `post` sends a message to the worker, `taught` is called when what answers has changed.
 */
export function teachingPlace(words, site, post, taught) {
  let cards = [];
  // The classes that answer, in the worker, too: `site` shows them. Null where the model answers alone.
  let current = null;
  let asked = null;
  let turn = 0;
  let isReady = false;
  let isLooking = false;
  const queue = [];
  const replies = new Map();

  const list = make("ol", { class: "classes" });
  const status = make("div", { class: "status", role: "status" });
  const more = button("teach_add_class", () => addCard().focus());
  const choices = make("fieldset", { hidden: true }, make("legend", {}, words("teach_with")));
  for (const kind of [site.reference && "beside", "alone", "off"].filter(Boolean)) {
    const input = make("input", { type: "radio", name: "teach_with", value: kind });
    input.addEventListener("change", refit);
    choices.append(make("label", {}, input, ` ${words(`teach_${kind}`)}`));
  }
  choices.querySelector("input").checked = true;
  const file = make("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-label": words("teach_load") });
  file.addEventListener("change", async () => {
    if (file.files[0]) await load(file.files[0]);
    file.value = "";
  });
  const save = button("teach_save", () => download(toText(cards, site.model, site.about.name)));
  const forget = button("teach_forget", () => restart([{}]));
  const tools = make("div", { class: "tools" }, save, button("teach_load", () => file.click()), file, forget);
  const element = make(
    "section", { id: "teach" },
    make(
      "details", {},
      make("summary", {}, words("teach")),
      make("p", { class: "what" }, words("teach_what", LIMITS)),
      list, make("div", { class: "tools" }, more), status, choices, tools, make("p", { class: "note" }, words("teach_file")),
    ),
  );
  restart([{}]);
  return { element, ready, hear, site: () => current?.site ?? site, answer };

  function button(key, act) {
    const made = make("button", { type: "button" }, words(key));
    made.addEventListener("click", act);
    return made;
  }

  function addCard(known = {}) {
    const card = classCard(words, known, { give, change: refit, remove });
    cards.push(card);
    list.append(card.element);
    more.hidden = cards.length >= LIMITS.classes;
    return card;
  }

  function remove(card) {
    cards = cards.filter((other) => other !== card);
    card.element.remove();
    if (!cards.length) addCard();
    more.hidden = false;
    more.focus();
    refit();
  }

  function restart(known) {
    cards = [];
    queue.length = 0;
    list.replaceChildren();
    known.forEach(addCard);
    refit();
  }

  async function load(given) {
    try {
      restart(await fromFile(given, site.model));
    } catch (error) {
      if (!(error instanceof SavedClassesError)) throw error;
      say(words(error.key, error.values));
    }
  }

  function download(text) {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    make("a", { href: url, download: "classes.json" }).click();
    URL.revokeObjectURL(url);
  }

  function ready() {
    isReady = true;
    // The worker may be another one.
    asked = null;
    refit();
    look();
  }

  function give(card, files) {
    queue.push(...files.map((file) => ({ card, file })));
    refit();
    look();
  }

  /** Looks at the pictures that were given, one after the other: phones have little memory. */
  async function look() {
    if (!isReady || isLooking) return;
    isLooking = true;
    for (let refused = 0; queue.length; ) {
      refit();
      const { card, file } = queue.shift();
      const fault = cards.includes(card) ? await learn(card, file) : null;
      if (fault && ++refused <= MOST_FAULTS) card.refuse(`${file.name}: ${fault}`);
    }
    isLooking = false;
    refit();
  }

  /** Adds a picture to a class, or returns the sentence that says why not. */
  async function learn(card, file) {
    if (card.pictures.length >= LIMITS.most) return words("teach_enough", LIMITS);
    let sha256;
    try {
      URL.revokeObjectURL((await readPicture(file)).src);
      sha256 = await hash(file);
    } catch (error) {
      if (error instanceof UnreadableError) return words(error.key);
      // The file is gone.
      if (error instanceof DOMException) return words("not_read");
      throw error;
    }
    const twin = sha256 && cards.find(({ pictures }) => pictures.some((picture) => picture.sha256 === sha256));
    if (twin) return words("teach_twice", { name: twin.title });
    const { features, small, fault } = await new Promise((reply) => {
      replies.set(++turn, reply);
      post({ learn: turn, file });
    });
    if (fault) return words(fault);
    if (cards.includes(card)) card.add({ sha256, features, small });
    return null;
  }

  /** Fits the head anew where the classes, or what they stand beside, have changed, and says what is missing. */
  function refit() {
    choices.hidden = save.hidden = forget.hidden = !cards.some(({ pictures }) => pictures.length);
    if (queue.length || isLooking) {
      say(words(isReady ? "teach_looking" : "teach_waiting", { count: Math.max(1, queue.length) }));
      return;
    }
    const kind = choices.querySelector("input:checked").value;
    const used = cards.filter(({ name, pictures }) => name && pictures.length >= LIMITS.fewest);
    const missing = lack(kind, used);
    const isWanted = missing === null && kind !== "off";
    // As they are now: the visitor goes on while the worker fits.
    const classes = isWanted ? used.map((card) => ({ card, name: card.name, pictures: [...card.pictures] })) : null;
    // What is said stays until there is something newer: a button that moves is not clicked.
    if (!isWanted) say(missing);
    if (asked && asked.kind === kind && areSame(asked.classes, classes)) {
      if (current && current.fit === asked.fit) tell();
      return;
    }
    asked = { fit: ++turn, kind, classes, site: classes && siteOf(classes, kind === "beside") };
    if (isReady) post({ fit: turn, classes: classes && classes.map(featuresOf), beside: kind === "beside" });
  }

  /** Returns the sentence that says what is missing, empty before anything was given, or null where nothing is. */
  function lack(kind, used) {
    const names = used.map(({ name }) => name.toLowerCase());
    const twin = names.findIndex((name, place) => names.indexOf(name) !== place);
    if (twin >= 0) return words("teach_same", { name: used[names.indexOf(names[twin])].name });
    if (!used.length) return cards.some(({ pictures }) => pictures.length) ? words("teach_need", LIMITS) : "";
    if (kind === "alone" && used.length < 2) return words(site.reference ? "teach_need_other" : "teach_need_class", LIMITS);
    return null;
  }

  function hear(said) {
    if (said.learn) {
      replies.get(said.learn)(said);
      replies.delete(said.learn);
    } else if (said.fit === asked?.fit) {
      const before = current;
      current = said.fitted ? { ...asked, fitted: said.fitted } : null;
      for (const card of cards) card.say(null);
      if (current) tell();
      if (before || current) taught();
    }
  }

  /** Says what the head is worth. */
  function tell() {
    const { classes, fitted, kind } = current;
    classes.forEach(({ card }, label) =>
      card.say(
        fitted.said[label].map((number) => (number === label ? null : (classes[number]?.name ?? words("teach_the_models")))),
      ),
    );
    const percents = [fitted.right / fitted.pictures, fitted.low, fitted.high].map((share) => Math.round(100 * share));
    const [percent, low, high] = percents;
    say(
      words("teach_right", { right: fitted.right, pictures: fitted.pictures, percent, low, high }),
      kind === "beside" && words("teach_reference", { taken: fitted.taken, reference: fitted.reference }),
      fitted.distance === null
        ? words("teach_no_distance", { enough: ENOUGH_FOR_DISTANCE, count: fitted.pictures })
        : words("teach_distance", { distance: fitted.distance.toFixed(3), k: fitted.k }),
    );
  }

  function say(first, ...rest) {
    status.replaceChildren(
      ...[first, ...rest].filter(Boolean).map((text, place) => make("p", { class: place === 0 ? "first" : null }, text)),
    );
  }

  /** Returns what the page shows the visitor's classes by, and the model's after them. */
  function siteOf(classes, beside) {
    const theirs = beside ? site.dances : [];
    const names = new Set(theirs.map(({ name }) => name.toLowerCase()));
    const own = classes.map(({ name }) => ({
      label: "", native: "", native_language: "", region: "", fact: "", look_for: "",
      name: names.has(name.toLowerCase()) ? words("teach_yours", { name }) : name,
    }));
    const moved = site.pair && { ...site.pair, dances: site.pair.dances.map((number) => number + own.length) };
    const confusions = [...own.map(() => null), ...(beside ? site.confusions : [])];
    return { ...site, dances: [...own, ...theirs], pair: beside ? moved : null, confusions, sets: null };
  }

  /** Returns the card of an answer: of the visitor's classes where they answer, else of the model's alone. */
  function answer({ probs, heat, near, taught: own }) {
    if (!own || own.fit !== current?.fit) {
      return answerCard(words, site, judge(probs, site.threshold, near?.ood, site.sets), probs, heat, near);
    }
    const isTheirs = own.number < current.classes.length;
    const shown = { ...current.site, threshold: isTheirs ? THRESHOLD : site.threshold };
    // Of the visitor's classes the page has sentences of its own where the model's would not be true.
    const said = Object.assign((key, values) => words(words.has(`taught_${key}`) ? `taught_${key}` : key, values), words);
    const verdict = judge(own.probs, shown.threshold, own.ood);
    return answerCard(said, shown, verdict, own.probs, heat, isTheirs ? null : near);
  }
}

const areSame = (some, others) =>
  some?.length === others?.length &&
  (some ?? []).every(
    ({ card, name, pictures }, at) =>
      card === others[at].card && name === others[at].name && pictures.length === others[at].pictures.length &&
      pictures.every((picture, place) => picture === others[at].pictures[place]),
  );

const featuresOf = ({ pictures }) => pictures.map(({ features }) => features);

/** Returns a file's SHA-256, or "" where the page came unencrypted and the browser gives none. */
async function hash(file) {
  if (!globalThis.crypto?.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
