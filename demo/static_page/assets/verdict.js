// The answer as a verdict: what demo/telling/verdict.py says of the same probabilities, which a test compares.

/** Returns the classes' numbers, the likeliest first; of equals, the one that stands first among the classes. */
export const order = (probs) => Array.from(probs.keys()).sort((a, b) => probs[b] - probs[a]);

const MOST_IN_SENTENCE = 3;
const MOST_LISTED = 6;

/**
 * Puts probabilities into a verdict: its kind ("sure", "unsure", "ood"), the numbers of the classes it speaks of,
 * the probability of the likeliest, and the `set` of those that it may be.
 *
 * Below `threshold.value` the model does not answer. `ood` says that something other than the probabilities tells
 * that the picture shows none of the dances. A class belongs to the set from `sets.cut` on; null where a model has none.
 */
export function judge(probs, threshold, ood = false, sets = null) {
  const all = order(probs);
  const probability = probs[all[0]];
  if (ood) return { kind: "ood", dances: [], probability, set: [] };
  const set = sets ? all.filter((number, place) => place === 0 || probs[number] >= sets.cut) : [];
  if (probability >= threshold.value) return { kind: "sure", dances: [all[0]], probability, set };
  const named = set.length >= 2 && set.length <= MOST_IN_SENTENCE ? set : all.slice(0, 2);
  return { kind: "unsure", dances: named, probability, set };
}

/** Returns names as in "Kathak, Odissi or Sattriya"; of more than six the first five, and how many more. */
export function either(names, words) {
  const shown = names.length > MOST_LISTED ? names.slice(0, MOST_LISTED - 1) : names.slice(0, -1);
  const last = names.length > MOST_LISTED ? words("more", { count: names.length - shown.length }) : names.at(-1);
  return shown.length ? words("or", { first: shown.join(", "), last }) : last;
}

/** Returns a probability as whole percents, never certainty: "<1", "1" … "99", ">99". Halves go to the even one. */
export function percent(probability) {
  if (probability < 0.005) return "<1";
  if (probability >= 0.995) return ">99";
  const exact = 100 * probability;
  const rounded = Math.round(exact);
  return String(exact % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded);
}
