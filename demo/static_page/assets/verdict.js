// The answer as a verdict: what demo/telling/verdict.py says of the same probabilities, which a test compares.

/** Returns the classes' numbers, the likeliest first; of equals, the one that stands first among the classes. */
export const order = (probs) => Array.from(probs.keys()).sort((a, b) => probs[b] - probs[a]);

/**
 * Puts probabilities into a verdict: its kind ("sure", "unsure", "ood"), the numbers of the classes it speaks of,
 * and the probability of the likeliest.
 *
 * Below `threshold.value` the model does not answer. `ood` says that something other than the probabilities tells
 * that the picture shows none of the dances.
 */
export function judge(probs, threshold, ood = false) {
  const [first, second] = order(probs);
  const probability = probs[first];
  if (ood) return { kind: "ood", dances: [], probability };
  if (probability < threshold.value) return { kind: "unsure", dances: [first, second], probability };
  return { kind: "sure", dances: [first], probability };
}

/** Returns a probability as whole percents, never certainty: "<1", "1" … "99", ">99". Halves go to the even one. */
export function percent(probability) {
  if (probability < 0.005) return "<1";
  if (probability >= 0.995) return ">99";
  const exact = 100 * probability;
  const rounded = Math.round(exact);
  return String(exact % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded);
}
