// From what is chosen to the body of a query, and from a click to its cell.
import { writeProperty } from "./address.js";

const LONGEST_BY_DAY = 92;
const PATH_LINKS = 80;

/** The body of POST /api/v1/query/<analysis> for the choices; null while something needed is not chosen. */
export function bodyOf(choices) {
  const body = BODIES[choices.view](choices[choices.view], choices.range);
  return body && { project: choices.project, range: rangeOf(choices.range), ...body };
}

const BODIES = {
  funnel: ({ steps, window, breakdown }, range) =>
    steps.length < 1
      ? null
      : {
          steps: steps.map((event) => ({ event })),
          window,
          trend: { interval: intervalOf(range) },
          ...(breakdown ? { breakdown: { properties: [breakdown], attribution: "first_touch" } } : {}),
        },
  retention: (chosen) => ({
    start: { event: chosen.start },
    return: { event: chosen.return },
    interval: chosen.interval,
    periods: chosen.periods,
    entry: chosen.entry,
    mode: chosen.mode,
    ...(chosen.breakdown ? { breakdown: [chosen.breakdown] } : {}),
  }),
  paths: ({ events, property, at, start, end, steps }) => ({
    ...(events.length ? { events: events.map((event) => ({ event })) } : {}),
    ...(property && at ? { node: { property, for: [at] } } : {}),
    ...(start ? { start } : {}),
    ...(end ? { end } : {}),
    max_steps: steps,
    limit: PATH_LINKS,
  }),
};

function rangeOf(range) {
  return range.last ? { last: { value: range.last, unit: "day" } } : { from: range.from, to: range.to };
}

/** Days, weeks or months, so that a trend has points that can be told apart. */
export function intervalOf(range) {
  const days = range.last ?? (Date.parse(range.to) - Date.parse(range.from)) / 86400000 + 1;
  if (days <= LONGEST_BY_DAY) return "day";
  return days <= 4 * LONGEST_BY_DAY ? "week" : "month";
}

/** Whether two bodies ask the same. */
export function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The key of a group as one text, to tell groups apart. */
export function keyOf(key) {
  return JSON.stringify(key);
}

/** The funnel's largest loss: {step, dropped, rate}; null where nobody was lost. */
export function largestLoss(steps) {
  const losses = steps.slice(1).map((step, index) => ({
    step: index + 1,
    dropped: step.dropped,
    rate: 1 - Number(step.step_conversion_rate),
  }));
  const worst = losses.reduce((most, loss) => (loss.dropped > (most?.dropped ?? 0) ? loss : most), null);
  return worst;
}

/** A property among others: those that somebody named first, then what SDKs add. */
export function sortProperties(properties) {
  const rank = ({ property }) => (property.startsWith("$") ? 1 : 0);
  return [...properties].sort((a, b) => rank(a) - rank(b) || compareText(writeProperty(a), writeProperty(b)));
}

function compareText(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

/**
 * Nodes and links of a paths answer for a Sankey: {nodes, links, names, depth, widest}. Nodes go by numbers, an id
 * may be any text. Who left goes to one node a position; not behind the last, where sessions were cut.
 */
export function pathGraph(result, maxSteps) {
  const numbers = new Map(result.nodes.map(({ id }, index) => [id, `n${index}`]));
  const colours = new Map();
  const nodes = result.nodes.map((node) => {
    if (!colours.has(node.name)) colours.set(node.name, colours.size);
    return { name: numbers.get(node.id), depth: node.step - 1, colour: colours.get(node.name), node };
  });
  const links = result.links.map((link) => ({
    source: numbers.get(link.source),
    target: numbers.get(link.target),
    value: link.count,
    link,
  }));
  const exits = new Set();
  for (const node of result.nodes) {
    if (node.exits === 0 || node.step >= maxSteps) continue;
    const target = `x${node.step}`;
    if (!exits.has(target)) nodes.push({ name: target, depth: node.step, node: null });
    exits.add(target);
    links.push({ source: numbers.get(node.id), target, value: node.exits, exit: node });
  }
  const columns = new Map();
  for (const { depth } of nodes) columns.set(depth, (columns.get(depth) ?? 0) + 1);
  return {
    nodes,
    links,
    names: new Map(result.nodes.map(({ id, name }) => [id, name])),
    depth: Math.max(1, ...nodes.map(({ depth }) => depth + 1)),
    widest: Math.max(1, ...columns.values()),
  };
}
