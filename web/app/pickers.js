// The pickers: events, properties, dates. Native controls, so that keyboards and screen readers know them.
import { html, useState, usePage } from "./page.js";
import { PRESETS, readProperty, writeProperty } from "./address.js";
import { sortProperties } from "./queries.js";

/** A label above a control. */
export function Field({ label, children }) {
  return html`<label class="field"><span>${label}</span>${children}</label>`;
}

/** A select of [value, text] pairs. */
export function Choice({ label, value, options, onPick }) {
  return html`<${Field} label=${label}>
    <select value=${String(value)} onChange=${(event) => onPick(event.target.value)}>
      ${options.map(
        ([key, text]) => html`<option value=${String(key)} selected=${String(key) === String(value)}>${text}</option>`,
      )}
    </select>
  <//>`;
}

/** An event's name; `any` is the text of choosing none, without it one must be chosen. `""` is none. */
export function EventSelect({ label, value, any, onPick, hidden = false }) {
  const { catalogue, t } = usePage();
  const names = catalogue.events.filter(({ type }) => type === "track").map(({ event }) => event);
  const records = catalogue.events.filter(({ type }) => type !== "track").map(({ event }) => event);
  const { virtual } = catalogue;
  const known = new Set([...names, ...records, ...virtual]);
  const option = (name) => html`<option value=${name} selected=${name === value}>${name}</option>`;
  const select = html`<select
    value=${value ?? ""}
    aria-label=${hidden ? label : undefined}
    onChange=${(event) => onPick(event.target.value || null)}
  >
    ${any !== undefined && html`<option value="" selected=${!value}>${any}</option>`}
    ${value && !known.has(value) && option(value)} ${[...new Set(names)].map(option)}
    ${virtual.length > 0 && html`<optgroup label=${t("picker.virtual")}>${virtual.map(option)}</optgroup>`}
    ${records.length > 0 && html`<optgroup label=${t("picker.records")}>${[...new Set(records)].map(option)}</optgroup>`}
  </select>`;
  return hidden ? select : html`<${Field} label=${label}>${select}<//>`;
}

/** Several events, in order or not; each can be changed and removed, and moved forward where `ordered`. */
export function EventList({ label, values, add, ordered, onPick }) {
  const { t } = usePage();
  const replaced = (index, ...by) => values.toSpliced(index, 1, ...by);
  const swapped = (index) => values.with(index - 1, values[index]).with(index, values[index - 1]);
  return html`<fieldset class="events">
    <legend>${label}</legend>
    <ol class=${ordered ? "ordered" : ""}>
      ${values.map(
        (value, index) =>
          html`<li key=${index}>
            <${EventSelect}
              hidden
              label=${t("picker.event", { number: index + 1 })}
              value=${value}
              onPick=${(name) => onPick(name ? replaced(index, name) : replaced(index))}
            />
            ${ordered &&
            index > 0 &&
            html`<button
              type="button"
              class="icon"
              title=${t("picker.earlier", { name: value })}
              aria-label=${t("picker.earlier", { name: value })}
              onClick=${() => onPick(swapped(index))}
            >
              ↑
            </button>`}
            <button
              type="button"
              class="icon"
              title=${t("picker.remove", { name: value })}
              aria-label=${t("picker.remove", { name: value })}
              onClick=${() => onPick(replaced(index))}
            >
              ×
            </button>
          </li>`,
      )}
      <li key="add" class="add">
        <${EventSelect} hidden label=${add} value=${null} any=${add} onPick=${(name) => name && onPick([...values, name])} />
      </li>
    </ol>
  </fieldset>`;
}

/** A property of events or users, or none. Items' properties are for lists, not for groups. */
export function PropertySelect({ label, value, none, owners = ["event", "user"], onPick }) {
  const { catalogue, t } = usePage();
  const chosen = writeProperty(value);
  const groups = owners.map((of) => [of, sortProperties(catalogue.properties.filter((each) => each.of === of))]);
  const known = groups.some(([, properties]) => properties.some((each) => writeProperty(each) === chosen));
  return html`<${Field} label=${label}>
    <select value=${chosen} onChange=${(event) => onPick(readProperty(event.target.value))}>
      <option value="" selected=${chosen === ""}>${none}</option>
      ${value && !known && html`<option value=${chosen} selected>${value.property}</option>`}
      ${groups
        .filter(([, properties]) => properties.length > 0)
        .map(
          ([of, properties]) =>
            html`<optgroup label=${t(`picker.of.${of}`)}>
              ${properties.map(
                (each) =>
                  html`<option value=${writeProperty(each)} selected=${writeProperty(each) === chosen}>
                    ${each.property}
                  </option>`,
              )}
            </optgroup>`,
        )}
    </select>
  <//>`;
}

/** The last days, or two dates, both included. */
export function DatePicker() {
  const { t, choices, choose, zone } = usePage();
  const { range } = choices;
  const presets = PRESETS.includes(range.last) || !range.last ? PRESETS : [...PRESETS, range.last];
  const pick = (value) => choose({ range: value === "dates" ? datesOf(range, zone) : { last: Number(value) } });
  const options = presets.map((days) => [days, t("picker.last", { count: days })]);
  return html`<${Choice}
      label=${t("picker.dates")}
      value=${range.last ?? "dates"}
      options=${[...options, ["dates", t("picker.custom")]]}
      onPick=${pick}
    />
    ${!range.last && html`<${Dates} key=${`${range.from} ${range.to}`} range=${range} />`}`;
}

function Dates({ range }) {
  const { t, choose } = usePage();
  const [draft, setDraft] = useState(range);
  const set = (name) => (event) => {
    const next = { ...draft, [name]: event.target.value };
    setDraft(next);
    if (next.from && next.to && next.from <= next.to) choose({ range: next });
  };
  return html`<${Field} label=${t("picker.from")}>
      <input type="date" value=${draft.from} max=${draft.to} onChange=${set("from")} />
    <//>
    <${Field} label=${t("picker.to")}>
      <input type="date" value=${draft.to} min=${draft.from} onChange=${set("to")} />
    <//>`;
}

/** The two dates that the last days are, by the project's clock. */
function datesOf(range, zone) {
  const day = (moment) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(moment);
  const now = Date.now();
  return { from: day(now - ((range.last ?? 30) - 1) * 86400000), to: day(now) };
}
