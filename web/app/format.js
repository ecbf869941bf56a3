// Numbers, rates, durations and times as the reader's language writes them.

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** Formats for a locale; instants are shown by the clock of `zone`, an IANA name. */
export function formats(locale, zone = "UTC") {
  const count = new Intl.NumberFormat(locale);
  const rate = new Intl.NumberFormat(locale, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const share = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", timeZone: zone });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium", timeZone: zone });
  return {
    count: (value) => count.format(Number(value)),
    rate: (value) => rate.format(Number(value)),
    share: (value) => share.format(Number(value)),
    moment: (instant) => (instant ? moment.format(new Date(instant)) : "–"),
    clock: (instant) => clock.format(new Date(instant)),
    duration: (seconds) => duration(locale, seconds),
    bucket: (bucket, interval) => bucketText(locale, bucket, interval),
  };
}

/** The two largest units that count: 3 hr 20 min. Seconds below a minute keep a decimal. */
function duration(locale, seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const total = Number(seconds);
  const found = UNITS.findIndex(([, each]) => total >= each);
  const largest = found === -1 ? UNITS.length - 1 : found;
  const [name, size] = UNITS[largest];
  const [smaller, smallerSize] = UNITS[largest + 1] ?? ["", 0.1];
  const parts = Math.round(total / smallerSize);
  const rounded = size >= 60 ? parts * smallerSize : parts / 10;
  if (UNITS.some(([, larger]) => larger > size && rounded >= larger)) return duration(locale, rounded);
  if (size === 1) return unit(locale, "second", rounded);
  const first = unit(locale, name, Math.floor(rounded / size));
  const rest = Math.round((rounded % size) / smallerSize);
  return rest === 0 ? first : `${first} ${unit(locale, smaller, rest)}`;
}

function unit(locale, name, value) {
  return new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "short" }).format(value);
}

/** A bucket's name, a local date or date-time: its own clock is kept, whatever its offset. */
function bucketText(locale, bucket, interval) {
  const local = new Date(`${bucket.slice(0, 16)}${bucket.length > 10 ? "" : "T00:00"}Z`);
  if (Number.isNaN(local.getTime())) return bucket;
  const shown =
    interval === "month"
      ? { year: "numeric", month: "short" }
      : { month: "short", day: "numeric", ...(interval === "hour" ? { hour: "2-digit", minute: "2-digit" } : {}) };
  return new Intl.DateTimeFormat(locale, { ...shown, timeZone: "UTC" }).format(local);
}

/** A property's value or a part of a group's key as text; missing is `missing`. */
export function valueText(value, missing) {
  if (value === null || value === undefined) return missing;
  if (Array.isArray(value)) return JSON.stringify(value);
  return String(value);
}
