// Do they come back? A heatmap: a row for those who started in a bucket, a cell for each period after it.
import { html, usePage, useAnswer, useState, Answer } from "./page.js";
import { Choice, DatePicker, EventSelect, PropertySelect } from "./pickers.js";
import { ENTRIES, INTERVALS, MODES } from "./address.js";
import { bodyOf, keyOf } from "./queries.js";
import { GroupSwitch, groupName } from "./groups.js";
import { LineChart } from "./line_chart.js";

const PERIODS = { hour: [6, 12, 24, 48], day: [7, 14, 30], week: [4, 8, 12], month: [3, 6, 12] };
const STRONG = 0.82;
const MAX_ROWS = 200; // more would make a browser slow, and nobody wiser
const MAX_LINES = 7; // as many as there are colours

export function Retention() {
  const { t, choices } = usePage();
  const loaded = useAnswer("retention", bodyOf(choices));
  return html`<section aria-labelledby="view-title">
    <h1 id="view-title">${t("retention.title")}</h1>
    <p class="question">${t("retention.question")}</p>
    <${RetentionPickers} />
    <${Answer} loaded=${loaded} prompt="" isEmpty=${(result) => result.rows.every(({ size }) => size === 0)}>
      ${(result, body) => html`<${RetentionAnswer} key=${JSON.stringify(body)} result=${result} body=${body} />`}
    <//>
  </section>`;
}

function RetentionPickers() {
  const { t, choices, choose } = usePage();
  const chosen = choices.retention;
  const set = (change) => choose({ retention: { ...chosen, ...change } });
  const lengths = PERIODS[chosen.interval];
  const periods = lengths.includes(chosen.periods) ? lengths : [...lengths, chosen.periods].sort((a, b) => a - b);
  return html`<form class="pickers" onSubmit=${(event) => event.preventDefault()}>
    <div class="row">
      <${EventSelect} label=${t("retention.start")} value=${chosen.start} any=${t("picker.any_event")} onPick=${(start) => set({ start })} />
      <${EventSelect}
        label=${t("retention.return")}
        value=${chosen.return}
        any=${t("picker.any_event")}
        onPick=${(event) => set({ return: event })}
      />
      <${DatePicker} />
      <${Choice}
        label=${t("retention.interval")}
        value=${chosen.interval}
        options=${INTERVALS.map((each) => [each, t(`interval.${each}`)])}
        onPick=${(interval) => set({ interval, periods: PERIODS[interval][interval === "hour" ? 2 : 0] })}
      />
      <${Choice}
        label=${t("retention.periods")}
        value=${chosen.periods}
        options=${periods.map((each) => [each, String(each)])}
        onPick=${(each) => set({ periods: Number(each) })}
      />
      <${Choice}
        label=${t("retention.mode")}
        value=${chosen.mode}
        options=${MODES.map((each) => [each, t(`retention.mode.${each}`)])}
        onPick=${(mode) => set({ mode })}
      />
      <${Choice}
        label=${t("retention.entry")}
        value=${chosen.entry}
        options=${ENTRIES.map((each) => [each, t(`retention.entry.${each}`)])}
        onPick=${(entry) => set({ entry })}
      />
      <${PropertySelect}
        label=${t("picker.breakdown")}
        value=${chosen.breakdown}
        none=${t("picker.none")}
        onPick=${(breakdown) => set({ breakdown })}
      />
    </div>
  </form>`;
}

function RetentionAnswer({ result, body }) {
  const { t } = usePage();
  const [key, setKey] = useState(null);
  const { groups } = result;
  const group = key === null ? null : groups.find((each) => keyOf(each.key) === keyOf(key));
  const shown = group ?? result;
  const lines = [
    { name: t("group.all"), values: knownMeans(result) },
    ...groups.slice(0, MAX_LINES - 1).map((each) => ({ name: groupName(t, each.key), values: knownMeans(each) })),
  ];
  const periods = Array.from({ length: body.periods + 1 }, (_, index) => t(`period.${body.interval}`, { number: index }));
  return html`${groups.length > 0 && html`<${GroupSwitch} groups=${groups} chosen=${group ? key : null} onPick=${setKey} />`}
    <${Heatmap} rows=${shown.rows.slice(-MAX_ROWS)} mean=${knownMeans(shown)} groupKey=${group ? key : null} periods=${periods} body=${body} />
    ${shown.rows.length > MAX_ROWS && html`<p class="hint">${t("retention.latest", { shown: MAX_ROWS, count: shown.rows.length })}</p>`}
    <p class="hint">${t("retention.hint")}</p>
    <h2>${t("retention.curve")}</h2>
    <${LineChart} label=${t("retention.curve")} buckets=${periods} lines=${lines} />`;
}

/** The means of periods that somebody has lived to see; the API's is 0 for the others. */
function knownMeans({ rows, mean }) {
  const seen = Math.max(0, ...rows.map(({ size, values }) => (size > 0 ? values.length : 0)));
  return mean.map((rate, period) => (period < seen ? Number(rate) : null));
}

function Heatmap({ rows, mean, groupKey, periods, body }) {
  const { t, format, showPeople } = usePage();
  const ask = (row, period) =>
    showPeople({
      analysis: "retention",
      body,
      cell: { bucket: row.bucket, period, outcome: period === 0 ? "retained" : "lost", ...(groupKey ? { key: groupKey } : {}) },
      outcomes: period === 0 ? ["retained"] : ["retained", "lost"],
      title: `${format.bucket(row.bucket, body.interval)} · ${periods[period]}${groupKey ? ` · ${groupName(t, groupKey)}` : ""}`,
    });
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("retention.title")}>
    <table class="heat retention">
      <thead>
        <tr>
          <th scope="col">${t("retention.cohort")}</th>
          <th scope="col">${t("retention.size")}</th>
          ${periods.slice(1).map((name) => html`<th scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        <tr class="mean">
          <th scope="row">${t("retention.mean")}</th>
          <td></td>
          ${periods.slice(1).map((_, index) => {
            const rate = mean[index + 1];
            return html`<td>${typeof rate === "number" && html`<${Shade} rate=${rate} text=${format.rate(rate)} />`}</td>`;
          })}
        </tr>
        ${rows.map(
          (row) =>
            html`<tr key=${row.bucket}>
              <th scope="row">${format.bucket(row.bucket, body.interval)}</th>
              <td>
                <button type="button" class="cell" disabled=${row.size === 0} onClick=${() => ask(row, 0)}>${format.count(row.size)}</button>
              </td>
              ${periods.slice(1).map((name, index) => html`<td><${Cell} row=${row} period=${index + 1} name=${name} body=${body} onPick=${ask} /></td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Cell({ row, period, name, body, onPick }) {
  const { t, format } = usePage();
  const back = row.values[period];
  if (back === undefined || row.size === 0) return null;
  const open = row.partial && period === row.values.length - 1;
  const label = t("retention.cell", {
    bucket: format.bucket(row.bucket, body.interval),
    period: name,
    back: format.count(back),
    size: format.count(row.size),
    rate: format.rate(back / row.size),
  });
  return html`<${Shade}
    rate=${back / row.size}
    text=${format.rate(back / row.size)}
    open=${open}
    label=${open ? `${label} ${t("retention.open")}` : label}
    onPick=${() => onPick(row, period)}
  />`;
}

/** A cell as dark as its rate; a button where it leads somewhere. */
function Shade({ rate, text, label, open = false, onPick }) {
  const look = `cell shaded${rate > STRONG ? " strong" : ""}${open ? " open" : ""}`;
  const style = { "--share": Math.min(1, rate) };
  return onPick
    ? html`<button type="button" class=${look} style=${style} aria-label=${label} title=${label} onClick=${onPick}>${text}</button>`
    : html`<span class=${look} style=${style}>${text}</span>`;
}
