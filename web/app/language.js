// Which language the page speaks, and its texts.
import { en } from "./texts/en.js";
import { zh } from "./texts/zh.js";

const TEXTS = { zh, en };
const LOCALES = { zh: "zh-CN", en: "en" };
const STORED = "footfall.language";

/** The language chosen here before, else the first of the browser's that we speak. */
export function startLanguage() {
  const stored = localStorage.getItem(STORED);
  return stored in TEXTS ? stored : preferred(navigator.languages);
}

export function rememberLanguage(language) {
  localStorage.setItem(STORED, language);
}

/** "zh" or "en", whichever the list of BCP 47 tags names first; else "en". */
export function preferred(tags) {
  const known = tags.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => Object.hasOwn(TEXTS, tag));
  return known ?? "en";
}

export function localeOf(language) {
  return LOCALES[language];
}

/**
 * A function from key and values to text. `{name}` is replaced by values.name; with `values.count` 1, a text
 * `<key>.one` is preferred where the language has one.
 */
export function translator(language, formatCount = String) {
  const texts = TEXTS[language];
  const rules = new Intl.PluralRules(LOCALES[language]);
  return (key, values = {}) => {
    const one = "count" in values && rules.select(Number(values.count)) === "one" ? texts[`${key}.one`] : undefined;
    const text = one ?? texts[key];
    if (text === undefined) throw new Error(`there is no text ${key}`);
    return text.replace(/\{(\w+)\}/g, (_all, name) => (name === "count" ? formatCount(values[name]) : String(values[name])));
  };
}
