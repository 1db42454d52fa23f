// What the page says: one JSON file per language, with placeholders such as {dance}.

/**
 * Reads the texts of the language that the visitor wants most, or the English ones; `dances` is what it tells about the
 * classes, by number, null where it is what site.json tells.
 */
export async function readWords(languages, tag) {
  const wanted = tag.split("-")[0].toLowerCase();
  const language = languages.includes(wanted) ? wanted : "en";
  const texts = await (await fetch(new URL(`words/${language}.json`, import.meta.url))).json();
  const words = (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  return Object.assign(words, { language, has: (key) => key in texts, dances: texts.dances ?? null });
}
