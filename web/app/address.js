// What is looked at, as the address after #: it can be kept and passed on. Never the key, and never sent anywhere.

export const VIEWS = ["funnel", "retention", "paths", "person"];
export const PRESETS = [1, 7, 14, 30, 90];
export const WINDOW_UNITS = ["minute", "hour", "day", "week"];
export const INTERVALS = ["hour", "day", "week", "month"];
export const ENTRIES = ["recurring", "first_in_range", "first_matching", "first_ever"];
export const MODES = ["on", "on_or_after"];
const MAX_TEXT = 1000;
const MAX_STEPS = 30;

/** The choices of somebody who has chosen nothing. */
export function startChoices() {
  return {
    view: "funnel",
    project: null,
    range: { last: 30 },
    funnel: { steps: [], window: { value: 14, unit: "day" }, breakdown: null },
    retention: { start: null, return: null, interval: "day", periods: 7, entry: "recurring", mode: "on", breakdown: null },
    paths: { events: [], property: null, at: null, start: "", end: "", steps: 5 },
    person: { id: "" },
  };
}

/** The choices that an address names, over those given; what it says wrongly is left as it was. */
export function readAddress(hash, choices) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split("?");
  if (!VIEWS.includes(path)) return choices;
  const given = new URLSearchParams(query);
  const text = (name) => (given.get(name) ?? "").slice(0, MAX_TEXT);
  const texts = (name) => given.getAll(name).filter((value) => value !== "" && value.length <= MAX_TEXT);
  const one = (name, allowed, otherwise) => (allowed.includes(given.get(name)) ? given.get(name) : otherwise);
  const whole = (name, least, most, otherwise) => {
    const value = Number(given.get(name));
    return given.has(name) && Number.isInteger(value) && value >= least && value <= most ? value : otherwise;
  };
  const read = { text, texts, one, whole };
  return {
    ...choices,
    view: path,
    project: text("project") || choices.project,
    range: readRange(read, choices.range),
    [path]: READERS[path](read, choices[path]),
  };
}

const READERS = {
  funnel: ({ texts, text, one, whole }, was) => ({
    steps: texts("step").slice(0, MAX_STEPS),
    window: {
      value: whole("window", 1, 10000, was.window.value),
      unit: one("unit", WINDOW_UNITS, was.window.unit),
    },
    breakdown: readProperty(text("by")),
  }),
  retention: ({ text, one, whole }, was) => ({
    start: text("start") || null,
    return: text("return") || null,
    interval: one("interval", INTERVALS, was.interval),
    periods: whole("periods", 1, 60, was.periods),
    entry: one("entry", ENTRIES, was.entry),
    mode: one("mode", MODES, was.mode),
    breakdown: readProperty(text("by")),
  }),
  paths: ({ text, texts, whole }, was) => ({
    events: texts("event").slice(0, MAX_STEPS),
    property: text("property") || null,
    at: text("at") || null,
    start: text("start"),
    end: text("end"),
    steps: whole("steps", 2, 20, was.steps),
  }),
  person: ({ text }) => ({ id: text("id") }),
};

function readRange({ text, whole }, was) {
  const [from, to] = [text("from"), text("to")];
  if (isDate(from) && isDate(to)) return { from, to };
  return { last: whole("last", 1, 400, was.last ?? 30) };
}

function isDate(value) {
  return /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value));
}

/** `event:channel` or `user:level` as {of, property}; null for anything else. */
export function readProperty(text) {
  const [of, ...rest] = text.split(":");
  return ["event", "user"].includes(of) && rest.join(":") !== "" ? { of, property: rest.join(":") } : null;
}

export function writeProperty(breakdown) {
  return breakdown ? `${breakdown.of}:${breakdown.property}` : "";
}

/** The address of the choices, from # on; what is as at the start is left out. */
export function writeAddress(choices) {
  const { view, project, range } = choices;
  const query = new URLSearchParams();
  if (project) query.set("project", project);
  if (view !== "person") for (const [name, value] of Object.entries(range)) query.set(name, value);
  for (const [name, value] of WRITERS[view](choices[view])) if (value !== null && value !== "") query.append(name, value);
  return `#/${view}?${query}`;
}

const WRITERS = {
  funnel: ({ steps, window, breakdown }) => [
    ...steps.map((step) => ["step", step]),
    ["window", window.value],
    ["unit", window.unit],
    ["by", writeProperty(breakdown)],
  ],
  retention: (chosen) => [
    ["start", chosen.start],
    ["return", chosen.return],
    ["interval", chosen.interval],
    ["periods", chosen.periods],
    ["entry", chosen.entry],
    ["mode", chosen.mode],
    ["by", writeProperty(chosen.breakdown)],
  ],
  paths: (chosen) => [
    ...chosen.events.map((event) => ["event", event]),
    ["property", chosen.property],
    ["at", chosen.at],
    ["start", chosen.start],
    ["end", chosen.end],
    ["steps", chosen.steps],
  ],
  person: ({ id }) => [["id", id]],
};
