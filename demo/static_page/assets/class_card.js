// One class that a visitor teaches: its name, its pictures, and what is to be said of them.

import { make } from "./make.js";
import { LIMITS } from "./saved_classes.js";

/**
 * Returns the place of a class: its `element`; its `name`, `title` (with something in place of a name that lacks) and
 * `pictures`, each `{ sha256, features, small }`, where `small` is a Blob or null; `add` for another picture, `refuse`
 * for a sentence about a file that is none, and `say` for what is to be said of the pictures.
 *
 * `give` is called with the files that a visitor gives, `change` when the name or the pictures have changed, and
 * `remove` when the class is taken away.
 */
export function classCard(words, { name = "", pictures = [] }, { give, change, remove }) {
  const input = make("input", { type: "text", maxlength: LIMITS.name, autocomplete: "off", value: name });
  const files = make("input", { type: "file", accept: "image/*,.heic,.avif", multiple: true, hidden: true });
  const choose = make("button", { type: "button" }, words("teach_add"));
  const away = make("button", { type: "button", class: "remove" }, "×");
  const shown = make("ul", { class: "small" });
  const count = make("p", { class: "count" });
  const faults = make("div", { class: "faults", role: "alert" });
  const element = make(
    "li", { class: "class" },
    make("div", { class: "head" }, make("label", {}, make("span", {}, words("teach_name")), input), away),
    shown, make("div", { class: "tools" }, choose, files, count), faults,
  );
  const card = {
    element, pictures: [], add, refuse, say,
    focus: () => input.focus(),
    get name() {
      return input.value.trim();
    },
    get title() {
      return card.name || words("teach_nameless");
    },
  };

  function add(picture) {
    const image = picture.small && make("img", { src: URL.createObjectURL(picture.small), alt: "" });
    const cross = make("button", { type: "button" }, "×");
    const taken = make("span", { class: "taken" });
    const item = make("li", {}, image || make("span", { class: "unseen" }), cross, taken);
    cross.addEventListener("click", () => {
      card.pictures.splice(card.pictures.indexOf(entry), 1);
      item.remove();
      if (image) URL.revokeObjectURL(image.src);
      update();
      choose.focus();
      change();
    });
    const entry = { ...picture, item, cross, taken };
    card.pictures.push(entry);
    shown.append(item);
    update();
  }

  function update() {
    card.pictures.forEach(({ item, cross }, place) => {
      const number = place + 1;
      item.firstChild.dataset.number = number;
      cross.setAttribute("aria-label", words("teach_remove_picture", { number, name: card.title }));
    });
    away.setAttribute("aria-label", words("teach_remove_class", { name: card.title }));
    files.setAttribute("aria-label", words("teach_add_to", { name: card.title }));
    count.textContent = words("teach_count", { count: card.pictures.length, ...LIMITS });
    shown.hidden = !card.pictures.length;
  }

  function refuse(text) {
    faults.append(make("p", {}, text));
  }

  /** Says of each picture for what it would be taken by a head that has not seen it; null where that is its class. */
  function say(names) {
    card.pictures.forEach(({ item, taken }, place) => {
      const name = names?.[place];
      taken.textContent = name ? words("teach_taken", { name }) : "";
      item.classList.toggle("mistaken", Boolean(name));
    });
  }

  const offer = (list) => {
    faults.replaceChildren();
    give(card, [...list]);
  };
  choose.addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    offer(files.files);
    files.value = "";
  });
  element.addEventListener("dragover", () => element.classList.add("over"));
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    // The page would answer about it.
    event.stopPropagation();
    element.classList.remove("over");
    offer(event.dataTransfer.files);
  });
  input.addEventListener("change", () => {
    update();
    change();
  });
  away.addEventListener("click", () => {
    for (const image of shown.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    remove(card);
  });
  pictures.forEach(add);
  update();
  return card;
}
