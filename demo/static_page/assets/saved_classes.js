// What a visitor has taught, as one JSON file: names, what the model sees in each picture, and its SHA-256. No pictures.
// dataset_card/lists.py reads it, too.

const FORMAT = "nritya-classes";
const VERSION = 1;
const MOST_BYTES = 50_000_000;
const SHA256 = /^([0-9a-f]{64})?$/;

export const LIMITS = { fewest: 5, most: 20, classes: 12, name: 60 };

/** Returns the file's text; `model` is that of site.json, `name` what people call it. */
export function toText(classes, model, name) {
  const listed = classes.map(({ name, pictures }) => ({
    name,
    pictures: pictures.map(({ sha256, features }) => ({ sha256, features: Array.from(features, rounded) })),
  }));
  return JSON.stringify({ format: FORMAT, version: VERSION, model: { name, sha256: model.sha256 }, classes: listed });
}

// With nine digits a float32 number comes back the same, and with it the head.
const rounded = (value) => Number(value.toPrecision(9));

/** A file that can't be loaded: `key` is that of the sentence, `values` what it names. */
export class SavedClassesError extends Error {
  constructor(key, values = {}) {
    super(key);
    Object.assign(this, { key, values });
  }
}

/** Reads a file that `toText` wrote with the same model: classes with their `name` and `pictures`. */
export async function fromFile(file, model) {
  if (file.size > MOST_BYTES) throw new SavedClassesError("teach_damaged");
  let saved;
  try {
    saved = JSON.parse(await file.text());
  } catch {
    throw new SavedClassesError("teach_damaged");
  }
  if (saved?.format !== FORMAT || saved.version !== VERSION) throw new SavedClassesError("teach_damaged");
  if (saved.model?.sha256 !== model.sha256) {
    throw new SavedClassesError("teach_other_model", { model: String(saved.model?.name ?? "?").slice(0, LIMITS.name) });
  }
  if (!isSound(saved.classes, model.features)) throw new SavedClassesError("teach_damaged");
  return saved.classes.map(({ name, pictures }) => ({
    name,
    pictures: pictures.map(({ sha256, features }) => ({ sha256, features: Float32Array.from(features), small: null })),
  }));
}

function isSound(classes, width) {
  const isPicture = (picture) =>
    typeof picture?.sha256 === "string" &&
    SHA256.test(picture.sha256) &&
    Array.isArray(picture.features) &&
    picture.features.length === width &&
    // float32 has no larger ones; what is no number fails, too.
    picture.features.every((value) => typeof value === "number" && Math.abs(value) < 3e38);
  return (
    Array.isArray(classes) &&
    classes.length >= 1 &&
    classes.length <= LIMITS.classes &&
    classes.every(
      (saved) =>
        typeof saved?.name === "string" && saved.name.length <= LIMITS.name &&
        Array.isArray(saved.pictures) && saved.pictures.length <= LIMITS.most && saved.pictures.every(isPicture),
    )
  );
}
