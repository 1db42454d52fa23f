"use strict";
(() => {
  const AT_ONCE = 48;
  const { labels, pictures, neighbours, map } = JSON.parse(document.getElementById("data").textContent);
  const gallery = document.getElementById("gallery");
  const title = document.getElementById("gallery-title");
  const note = document.getElementById("gallery-note");
  const list = document.getElementById("gallery-cards");
  const more = document.getElementById("more");
  const cells = [...document.querySelectorAll(".matrix button")];
  let waiting = [];
  let opener = null;

  const percent = (share) => `${Math.round(100 * share)}\u202f%`;

  // Names come from the dataset: text, never markup.
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function credited(line, url) {
    if (!url) return element("span", "", line);
    const link = element("a", "", line);
    link.href = url;
    link.rel = "noreferrer";
    return link;
  }

  function nearest(picture) {
    const list = element("ol", "near");
    list.setAttribute("aria-label", "Nearest training pictures");
    for (const [place, distance] of picture.nearest) {
      const neighbour = neighbours[place];
      const item = element("li");
      const frame = element("span", "small");
      if (neighbour.image) {
        const image = element("img");
        image.src = neighbour.image;
        image.alt = "";
        frame.append(image);
      }
      const caption = element("span");
      caption.append(element("b", neighbour.label === labels[picture.label] ? "" : "wrong", neighbour.label));
      caption.append(` ${distance.toFixed(3)} `, element("br"), credited(neighbour.credit, neighbour.url));
      item.append(frame, caption);
      list.append(item);
    }
    return list;
  }

  function card(picture) {
    const item = element("li", "card");
    const image = element("img");
    image.src = picture.image;
    image.alt = `${labels[picture.label]}, file ${picture.file}`;
    const bars = element("ul", "bars");
    bars.setAttribute("aria-label", "Probabilities");
    for (const [number, prob] of picture.bars) {
      const bar = element("li", number === picture.label ? "true" : "other");
      const fill = element("i");
      fill.style.setProperty("--share", prob);
      bar.append(element("span", "", labels[number]), element("b", "", percent(prob)), fill);
      bars.append(bar);
    }
    const credit = element("p", "credit");
    credit.append(element("code", "", picture.file), credited(picture.credit, picture.url));
    const frame = element("p", "frame");
    frame.append(image);
    item.append(frame, bars, credit);
    if (picture.nearest.length) item.append(element("p", "learned", "Nearest training pictures"), nearest(picture));
    return item;
  }

  function showMore() {
    const first = list.children.length;
    list.append(...waiting.splice(0, AT_ONCE).map(card));
    more.hidden = waiting.length === 0;
    return list.children[first];
  }

  function show(label, answer) {
    const cell = cells.find((c) => Number(c.dataset.true) === label && Number(c.dataset.answer) === answer);
    const count = Number(cell.querySelector("b").textContent);
    waiting = pictures.filter((p) => p.label === label && p.answer === answer);
    const here = waiting.length;
    title.textContent =
      label === answer ? `${labels[label]}, recognised: ${count}` : `${labels[label]} taken for ${labels[answer]}: ${count}`;
    note.textContent =
      here === count ? "The highest loss first." : `${here} of ${count} are in this page, the ones with the highest loss.`;
    for (const other of cells) other.setAttribute("aria-pressed", String(other === cell));
    list.replaceChildren();
    gallery.hidden = false;
    showMore();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-true]");
    if (!button) return;
    opener = button;
    show(Number(button.dataset.true), Number(button.dataset.answer));
    // Whoever asked is taken to the answer, wherever on the page it is; Escape leads back.
    title.focus();
  });

  more.addEventListener("click", () => {
    const first = showMore();
    first.tabIndex = -1;
    first.focus();
  });

  const back = () => (opener || cells[0]).focus();
  document.getElementById("back").addEventListener("click", back);
  gallery.addEventListener("keydown", (event) => event.key === "Escape" && back());

  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.querySelector(".matrix").addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || !event.target.matches("button")) return;
    event.preventDefault();
    let row = Number(event.target.dataset.true);
    let column = Number(event.target.dataset.answer);
    while ((row += move[0]) in labels && (column += move[1]) in labels) {
      const next = cells.find((c) => Number(c.dataset.true) === row && Number(c.dataset.answer) === column);
      if (next) return next.focus();
    }
  });

  if (map) drawMap();

  function drawMap() {
    const SIDE = 1000;
    // Okabe and Ito 2008: told apart by colour-blind people, too.
    const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800", "#8c6d46"];
    const svg = document.getElementById("map-dots");
    const legend = document.getElementById("map-legend");
    const side = document.getElementById("map-card");
    const select = document.getElementById("map-colour");
    const colour = (number, count) =>
      number < 0 ? "#888888" : count <= COLOURS.length ? COLOURS[number] : `hsl(${(360 * number) / count} 60% 50%)`;
    const dot = (x, y, radius, about) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      made.setAttribute("cx", Math.round(SIDE * x));
      made.setAttribute("cy", Math.round(SIDE * (1 - y)));
      made.setAttribute("r", radius);
      if (about.judged) made.setAttribute("class", "judged");
      svg.append(made);
      return { made, ...about };
    };
    const dots = [
      ...map.training.map(([x, y, label, source, place]) =>
        dot(x, y, 6, { label, source, answer: 2, neighbour: neighbours[place] })),
      ...map.judged.map(([x, y, source], number) => {
        const picture = pictures[number];
        const answer = picture.label === picture.answer ? 0 : 1;
        return dot(x, y, 11, { label: picture.label, source, answer, picture, judged: true });
      }),
    ];
    const kinds = {
      class: [labels, (about) => about.label],
      source: [map.sources, (about) => about.source],
      answer: [["right", "wrong", "training pictures"], (about) => about.answer],
    };

    function paint() {
      const [names, of] = kinds[select.value];
      for (const about of dots) about.made.style.setProperty("--dot", shade(of(about)));
      legend.replaceChildren(
        ...names.map((name, number) => {
          const item = element("li");
          const mark = element("i");
          mark.style.setProperty("--dot", shade(number));
          item.append(mark, name);
          return item;
        }),
      );
      function shade(number) {
        if (select.value !== "answer") return colour(number, names.length);
        return ["var(--right)", "var(--wrong)", "var(--line)"][number];
      }
    }

    function tell(about) {
      for (const other of dots) other.made.classList.toggle("chosen", other === about);
      if (about.picture) return side.replaceChildren(...card(about.picture).children);
      const title = element("p", "", "");
      title.append(element("b", "", labels[about.label] ?? ""), ", a training picture");
      const parts = [title];
      if (about.neighbour && about.neighbour.image) {
        const image = element("img");
        image.src = about.neighbour.image;
        image.alt = "";
        const frame = element("p", "frame");
        frame.append(image);
        parts.unshift(frame);
      }
      if (about.neighbour) {
        const credit = element("p", "credit");
        credit.append(credited(about.neighbour.credit, about.neighbour.url));
        parts.push(credit);
      }
      side.replaceChildren(...parts);
    }

    const at = new Map(dots.map((about) => [about.made, about]));
    for (const kind of ["pointerover", "click"])
      svg.addEventListener(kind, (event) => at.has(event.target) && tell(at.get(event.target)));
    select.addEventListener("change", paint);
    paint();
  }

  // What is confused most is there from the start.
  const first = document.querySelector(".chips button") || cells[0];
  show(Number(first.dataset.true), Number(first.dataset.answer));
})();
