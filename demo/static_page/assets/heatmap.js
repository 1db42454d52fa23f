// Where the model looked, laid over the picture: the numbers of demo/telling/heatmap.py, which a test compares.

// Pixels of the longer side: the page makes it larger, as smoothly as this would be.
const SIDE = 96;
// Inferno from its dark violet on.
const COLOURS = [
  [66, 10, 104], [106, 23, 110], [147, 38, 103], [188, 55, 84], [221, 81, 58], [243, 120, 25], [252, 165, 10],
  [246, 215, 70], [252, 255, 164],
];
// Nothing lies over what is cold.
const [STRONGEST, RISE] = [0.85, 1.25];
const UNSEEN = [140, 140, 140, Math.round(255 * 0.85)];

/** The colours from least to most, for CSS's `linear-gradient`. */
export const scaleBar = COLOURS.map((colour) => `rgb(${colour.join(" ")})`).join(", ");

/** Returns where the model's view of a picture lies, as shares of the picture's sides; beyond 0 and 1 is its border. */
export function viewOf(crop, width, height) {
  const scaled = [Math.floor(crop.width / crop.pct), Math.floor(crop.height / crop.pct)];
  let [across, down] = [crop.width / scaled[0], crop.height / scaled[1]];
  if (crop.mode !== "squash") {
    const fit = crop.mode === "border" ? Math.min : Math.max;
    const scale = fit(scaled[0] / width, scaled[1] / height);
    [across, down] = [crop.width / (width * scale), crop.height / (height * scale)];
  }
  return { left: (1 - across) / 2, top: (1 - down) / 2, right: (1 + across) / 2, bottom: (1 + down) / 2 };
}

/**
 * Spreads a heat-map over a picture and colours it, the more transparent the colder.
 *
 * `heat` has the numbers, 0 to 1, row by row, its `rows` and `columns`. Returns an ImageData of at most 96 pixels, and
 * whether the model did not see all of the picture.
 */
export function layOver(heat, crop, width, height) {
  const shrink = Math.min(1, SIDE / Math.max(width, height));
  const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side * shrink)));
  const view = viewOf(crop, width, height);
  const image = new ImageData(wide, high);
  let cut = false;
  for (let row = 0; row < high; row++) {
    const y = (row + 0.5) / high;
    for (let column = 0; column < wide; column++) {
      const x = (column + 0.5) / wide;
      const seen = x > view.left && x < view.right && y > view.top && y < view.bottom;
      cut ||= !seen;
      const across = ((x - view.left) / (view.right - view.left)) * heat.columns;
      const down = ((y - view.top) / (view.bottom - view.top)) * heat.rows;
      image.data.set(seen ? colour(cubic(heat, across - 0.5, down - 0.5)) : UNSEEN, 4 * (row * wide + column));
    }
  }
  return { image, cut };
}

/** Interpolates between the map's cells, 0 to 1: bicubic with a = -1, the edge repeated, as Pillow transforms. */
function cubic({ values, rows, columns }, x, y) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [across, down] = [weights(x - left), weights(y - top)];
  let sum = 0;
  for (let i = 0; i < 4; i++) {
    const row = columns * clamp(top + i - 1, rows - 1);
    for (let j = 0; j < 4; j++) sum += down[i] * across[j] * values[row + clamp(left + j - 1, columns - 1)];
  }
  return clamp(sum, 1);
}

const weights = (t) => [
  -(t ** 3) + 2 * t ** 2 - t,
  t ** 3 - 2 * t ** 2 + 1,
  -(t ** 3) + t ** 2 + t,
  t ** 3 - t ** 2,
];

const clamp = (value, most) => Math.min(Math.max(value, 0), most);

function colour(value) {
  const shade = value * (COLOURS.length - 1);
  const below = Math.min(Math.floor(shade), COLOURS.length - 2);
  const mixed = COLOURS[below].map((low, channel) => low + (shade - below) * (COLOURS[below + 1][channel] - low));
  return [...mixed.map(Math.round), Math.round(255 * STRONGEST * value ** RISE)];
}
