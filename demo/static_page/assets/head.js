// A classifier of the visitor's own on the model's features: how it is fitted, what it is worth, what it answers.

// The penalties to choose from, for features of length 1.
const PENALTIES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];
// Training pictures of the model's own classes that are compared with: more would cost seconds, and gain nothing.
const MOST_REFERENCE = 200;
// Neighbours, false alarms and confidence as in train/export/reference.py and train/ood.py.
const [FEWEST_NEIGHBOURS, MOST_NEIGHBOURS] = [5, 20];
const [FALSE_ALARMS, CONFIDENCE] = [0.05, 0.9];
const Z = 1.959963984540054;
const SHARPEST = 100;

/** How many pictures a distance can be chosen by: with fewer, none promises so few false alarms. */
export const ENOUGH_FOR_DISTANCE = Math.ceil(1 / FALSE_ALARMS) - 1;

/**
 * Fits a head to features of the visitor's pictures and says what it is worth.
 *
 * `classes` has a list of features for each class; `reference`, null or `{ features, count, width }`, training pictures
 * of the model's own classes, which stand for them together as one more class: a picture that looks like these is left
 * to the model. Returns
 *
 * - `said`: for each picture, class by class, which class a head that was fitted without it takes it for (the number of
 *   classes stands for the model's own); `right` of `pictures` are their own class, with the 95 % interval `low` to
 *   `high`; of `reference` training pictures of the model's classes, `taken` would be taken for the visitor's;
 *   `distance` from `k` neighbours, null where there are too few pictures to choose one; the `penalty` that was chosen.
 * - `answer(seen, probs, near)`: what it says of a picture's features; see `answerOf`.
 * - `heat(maps, seen, number)`: where it saw one of its classes; see `heatOf`.
 */
export function fitHead(classes, reference) {
  const own = classes.flat().map(unit);
  const others = reference ? spread(reference) : [];
  const labels = classes.flatMap((pictures, label) => pictures.map(() => label));
  labels.push(...others.map(() => classes.length));
  const ridge = fitRidge([...own, ...others], labels, classes.length + (reference ? 1 : 0));
  const familiar = fitDistance(own, classes.map((pictures) => pictures.length));
  const taken = ridge.leftOut.map(largest);
  let next = 0;
  const said = classes.map((pictures) => pictures.map(() => taken[next++]));
  const right = own.filter((_, row) => taken[row] === labels[row]).length;
  const [low, high] = wilson(right, own.length);
  return {
    said: {
      said, right, pictures: own.length, low, high, reference: others.length,
      taken: others.filter((_, row) => taken[own.length + row] < classes.length).length,
      distance: familiar.distance, k: familiar.k, penalty: ridge.penalty,
    },
    answer: (seen, probs, near) => answerOf(ridge, familiar, classes.length, reference !== null, unit(seen), probs, near),
    heat: (maps, seen, number) => heatOf(ridge, maps, seen, number),
  };
}

/**
 * Returns the probabilities of the visitor's classes and, where the head stands beside the model's, of the model's
 * after them; whether the picture is none of all these (`ood`); and the likeliest one's number.
 *
 * The share of the model's own classes is divided among them as the model says: what was measured of their order stays
 * true. What is far from all of the visitor's pictures is left to the model altogether. Written out: it is "none of
 * these" where it is far from the visitor's pictures and, beside the model's classes, from its training pictures.
 */
function answerOf(ridge, familiar, count, beside, seen, probs, near) {
  const far = familiar.isFar(seen);
  const shares = beside && far ? [...Array(count).fill(0), 1] : ridge.probs(seen);
  const all = beside ? [...shares.slice(0, count), ...Array.from(probs, (share) => share * shares[count])] : shares;
  const number = largest(all);
  // Where nobody can tell whether it is far, only the class that it is taken for can be asked.
  const ood = beside ? far !== false && number >= count && near.ood : far === true;
  return { probs: all, ood, number };
}

/**
 * Returns a class activation map (Zhou et al. 2016) of a class: what each place adds to its score, from the least that
 * is not negative to the most, 0 to 1. The mean over all places is the score itself, less its mean over the pictures.
 */
function heatOf(ridge, { data, dims }, seen, number) {
  const [rows, columns, width] = dims;
  const weights = ridge.weights[number];
  const length = lengthOf(seen) || 1;
  const offset = dot(weights, ridge.mean);
  const values = Float32Array.from({ length: rows * columns }, (_, place) => {
    let sum = 0;
    for (let at = 0; at < width; at++) sum += weights[at] * data[place * width + at];
    return Math.max(0, sum / length - offset);
  });
  const most = Math.max(...values) || 1;
  return { data: values.map((value) => value / most), dims: [rows, columns] };
}

/**
 * Fits ridge regression on one-hot targets; every class weighs the same, however many pictures it has.
 *
 * Solved in its dual form, for there are fewer pictures than features (Saunders, Gammerman and Vovk 1998, "Ridge
 * Regression Learning Algorithm in Dual Variables"). What a fit without a picture would say of it costs no fit: its
 * residual over 1 - h, where h is its element of the hat matrix's diagonal (Allen 1974, "The Relationship Between
 * Variable Selection and Data Augmentation and a Method for Prediction"; for the dual form Rifkin and Lippert 2007,
 * "Notes on Regularized Least Squares"). The penalty is the one whose left-out residuals are smallest. Scores become
 * probabilities by a softmax whose temperature suits the left-out scores best (Guo et al. 2017), by targets that are
 * never quite certain (Platt 1999), since a few pictures are no proof of certainty.
 */
export function fitRidge(rows, labels, count) {
  const [number, width] = [rows.length, rows[0].length];
  const sizes = Array(count).fill(0);
  for (const label of labels) sizes[label] += 1;
  const weights = labels.map((label) => number / (count * sizes[label]));
  const roots = weights.map(Math.sqrt);
  const mean = new Float64Array(width);
  rows.forEach((row, i) => row.forEach((value, at) => (mean[at] += (weights[i] * value) / number)));
  const centred = rows.map((row, i) => Float64Array.from(row, (value, at) => roots[i] * (value - mean[at])));
  // The weighted mean of every column of the targets is the same.
  const targets = labels.map((label, i) => Array.from({ length: count }, (_, c) => roots[i] * ((c === label) - 1 / count)));
  const kernel = centred.map((row, i) => centred.slice(0, i + 1).map((other) => dot(row, other)));

  let best = null;
  for (const penalty of PENALTIES) {
    const inverse = invertedFactor(kernel, penalty);
    const duals = solve(inverse, targets);
    const leftOut = duals.map((dual, i) => {
      let diagonal = 0;
      for (let row = i; row < number; row++) diagonal += inverse[row][i] ** 2;
      const remaining = penalty * diagonal - weights[i] / number;
      return dual.map((value) => (penalty * value) / remaining);
    });
    const error = leftOut.flat().reduce((sum, residual) => sum + residual ** 2, 0);
    if (!best || error < best.error) best = { error, duals, leftOut, penalty };
  }
  const leftOut = best.leftOut.map((residuals, i) =>
    residuals.map((residual, c) => (c === labels[i]) - residual / roots[i]),
  );
  const columns = Array.from({ length: count }, (_, c) => {
    const column = new Float64Array(width);
    centred.forEach((row, i) => row.forEach((value, at) => (column[at] += best.duals[i][c] * value)));
    return column;
  });
  const sharpness = fitSharpness(leftOut, labels, sizes, weights);
  const scores = (row) => columns.map((column) => 1 / count + dot(column, row) - dot(column, mean));
  return {
    mean, weights: columns, leftOut, penalty: best.penalty, sharpness, scores,
    probs: (row) => softmax(scores(row), sharpness),
  };
}

/** Returns the inverse of the Cholesky factor of a symmetric matrix, given by its lower half, plus a diagonal. */
function invertedFactor(lower, diagonal) {
  const factor = [];
  for (let i = 0; i < lower.length; i++) {
    const row = Float64Array.from(lower[i]);
    for (let j = 0; j < i; j++) {
      const other = factor[j];
      let sum = row[j];
      for (let k = 0; k < j; k++) sum -= row[k] * other[k];
      row[j] = sum / other[j];
    }
    let sum = row[i] + diagonal;
    for (let k = 0; k < i; k++) sum -= row[k] ** 2;
    row[i] = Math.sqrt(sum);
    factor.push(row);
  }
  const inverse = [];
  factor.forEach((row, i) => {
    const inverted = new Float64Array(i + 1);
    for (let k = 0; k < i; k++) {
      const [share, other] = [row[k], inverse[k]];
      for (let j = 0; j <= k; j++) inverted[j] -= share * other[j];
    }
    for (let j = 0; j < i; j++) inverted[j] /= row[i];
    inverted[i] = 1 / row[i];
    inverse.push(inverted);
  });
  return inverse;
}

/** Multiplies the inverse of a matrix, given by its factor's inverse, with columns: a list for every row. */
function solve(inverse, columns) {
  const count = columns[0].length;
  const half = inverse.map((row) =>
    Array.from({ length: count }, (_, c) => row.reduce((sum, value, i) => sum + value * columns[i][c], 0)),
  );
  const whole = columns.map(() => Array(count).fill(0));
  inverse.forEach((row, j) => row.forEach((value, i) => half[j].forEach((part, c) => (whole[i][c] += value * part))));
  return whole;
}

function fitSharpness(scores, labels, sizes, weights) {
  const loss = (sharpness) =>
    scores.reduce((sum, row, i) => {
      const sure = (sizes[labels[i]] + 1) / (sizes[labels[i]] + 2);
      const rest = (1 - sure) / (row.length - 1);
      const shares = softmax(row, sharpness).map((share) => Math.log(Math.max(share, Number.MIN_VALUE)));
      return sum - weights[i] * shares.reduce((all, log, c) => all + (c === labels[i] ? sure : rest) * log, 0);
    }, 0);
  // Of a convex function: two thirds of the interval hold its minimum.
  let [low, high] = [0, SHARPEST];
  while (high - low > 1e-4) {
    const [one, other] = [low + (high - low) / 3, high - (high - low) / 3];
    if (loss(one) < loss(other)) high = other;
    else low = one;
  }
  return (low + high) / 2;
}

/**
 * Chooses from which distance on a picture is like none of the visitor's: the rule of train/ood.py, with the distance
 * of each of these pictures to the others. `sizes` are those of the classes.
 */
export function fitDistance(rows, sizes) {
  const k = Math.min(
    Math.max(FEWEST_NEIGHBOURS, Math.min(MOST_NEIGHBOURS, Math.floor(Math.floor(median(sizes)) / 2))), rows.length - 1,
  );
  const score = (seen, known) => {
    const distances = Float64Array.from(known, (row) => 1 - dot(row, seen)).sort();
    return distances.subarray(0, k).reduce((sum, distance) => sum + distance, 0) / k;
  };
  const scores = rows.map((row, i) => score(row, rows.filter((_, j) => j !== i)));
  const distance = chooseDistance(scores);
  return { k, distance, scores, isFar: (seen) => (distance === null ? null : score(seen, rows) > distance) };
}

/** Returns the distance that at most 5 % of pictures exceed, or null where they are too few: see train/ood.py. */
export function chooseDistance(scores) {
  const count = scores.length;
  if (count < ENOUGH_FOR_DISTANCE) return null;
  // The binomial's quantile from the top: `rank` is the least of which more than this share lies at or below.
  let [rank, share, above] = [count, (1 - FALSE_ALARMS) ** count, 0];
  while (above + share <= 1 - CONFIDENCE) {
    above += share;
    share *= (rank / (count - rank + 1)) * (FALSE_ALARMS / (1 - FALSE_ALARMS));
    rank -= 1;
  }
  return [...scores].sort((a, b) => a - b)[Math.min(rank + 1, count) - 1];
}

/** Returns the 95 % interval of a share (Wilson 1927), as train/intervals.py does. */
export function wilson(right, total) {
  const share = right / total;
  const middle = share + Z ** 2 / (2 * total);
  const reach = Z * Math.sqrt((share * (1 - share)) / total + (Z / total) ** 2 / 4);
  const [low, high] = [middle - reach, middle + reach].map((end) => end / (1 + Z ** 2 / total));
  return [right ? low : 0, right < total ? high : 1];
}

function spread({ features, count, width }) {
  const number = Math.min(count, MOST_REFERENCE);
  return Array.from({ length: number }, (_, place) => {
    const row = Math.floor((place * count) / number);
    return unit(features.subarray(row * width, (row + 1) * width));
  });
}

function softmax(scores, sharpness) {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(sharpness * (score - most)));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}

function unit(row) {
  const length = lengthOf(row) || 1;
  return Float64Array.from(row, (value) => value / length);
}

const lengthOf = (row) => Math.sqrt(dot(row, row));

function dot(one, other) {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += one[at] * other[at];
  return sum;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const largest = (values) => values.reduce((best, value, number) => (value > values[best] ? number : best), 0);
