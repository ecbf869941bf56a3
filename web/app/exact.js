// Numbers as the API sends them. JavaScript's own hold neither a long account number nor every amount exactly.

/** A number that JavaScript would change: kept as its text, and written as it came. */
export class ExactNumber {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  valueOf() {
    return Number(this.text);
  }

  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.text) : Number(this.text);
  }
}

/** JSON text as a value, in which numbers that would lose digits are ExactNumber. */
export function parseExact(text) {
  return JSON.parse(text, (_name, value, context) =>
    typeof value === "number" && context?.source !== undefined && !keeps(value, context.source)
      ? new ExactNumber(context.source)
      : value,
  );
}

function keeps(value, source) {
  return Number.isSafeInteger(value) || String(value) === source;
}
