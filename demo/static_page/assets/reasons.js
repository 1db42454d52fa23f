// What an answer rests on, each behind a line to open: where the model looked, and what it has learned that is similar.

import { scaleBar } from "./heatmap.js";
import { link, make } from "./make.js";

/** Returns the heat-map over the picture; `heat` has the one as an ImageData and the other's address. */
export function heatDetails(words, heat, dance) {
  const { image } = heat;
  // Shown as it is by every browser; written to a file, a canvas may become noise.
  const map = make("canvas", {
    class: "over", width: image.width, height: image.height, role: "img", "aria-label": words("heat_alt", { dance }),
  });
  map.getContext("2d").putImageData(image, 0, 0);
  const frame = make(
    "div",
    { class: "frame" },
    make("img", { class: "under", src: heat.picture, alt: "" }),
    map,
  );
  frame.style.aspectRatio = `${heat.width} / ${heat.height}`;
  frame.style.setProperty("--wide", heat.width / heat.height);
  const colours = make("i");
  colours.style.background = `linear-gradient(to right, ${scaleBar})`;
  const caption = make(
    "figcaption",
    {},
    make("label", {}, make("input", { type: "checkbox", checked: true }), ` ${words("heat_over")}`),
    make("span", { class: "scale" }, `${words("heat_less")} `, colours, ` ${words("heat_more")}`),
    make("p", {}, words("heat_what", { dance }), heat.cut && ` ${words("heat_outside")}`),
  );
  const figure = make("figure", {}, frame, caption);
  return make("details", { class: "heat" }, make("summary", {}, words("heat")), figure);
}

/** Returns the most similar training pictures; those to be shown have an address, the others a sentence instead. */
export function nearDetails(words, neighbours, { k, threshold }) {
  const seen = neighbours.some(({ src }) => src);
  const items = neighbours.map(({ name, distance, src, credit, url }) =>
    make(
      "li",
      {},
      src && make("img", { src, alt: "" }),
      seen && !src && make("span", { class: "unseen" }, words("near_unseen")),
      make("b", {}, name),
      " ",
      alike(words, Math.max(0, distance), threshold),
      credit && make("small", { lang: "en" }, link(credit, url)),
    ),
  );
  const limit = threshold !== null && ` ${words("near_limit", { count: k, distance: threshold.toFixed(3) })}`;
  return make(
    "details",
    { class: "near" },
    make("summary", {}, words("near")),
    make("ol", { class: !seen && "names" }, ...items),
    !seen && make("p", {}, words("near_all_unseen")),
    make("p", {}, words("near_what"), limit),
  );
}

function alike(words, distance, threshold) {
  const said = words("near_distance", { distance: distance.toFixed(3) });
  if (threshold === null) return make("span", { class: "alike" }, said);
  const key = distance > threshold ? "near_far" : distance > threshold / 2 ? "near_alike" : "near_very";
  return make("span", { class: "alike", title: said }, words(key));
}
