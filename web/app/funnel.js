// Where do people drop off, and who? Bars of those who reached a step, hatched where they were lost.
import { html, usePage, useAnswer, Answer } from "./page.js";
import { Choice, DatePicker, EventList, Field, PropertySelect } from "./pickers.js";
import { WINDOW_UNITS } from "./address.js";
import { bodyOf, intervalOf, keyOf, largestLoss } from "./queries.js";
import { groupName } from "./groups.js";
import { LineChart } from "./line_chart.js";

const STRONG = 0.82;

export function Funnel() {
  const { t, choices } = usePage();
  const loaded = useAnswer("funnel", bodyOf(choices));
  return html`<section aria-labelledby="view-title">
    <h1 id="view-title">${t("funnel.title")}</h1>
    <p class="question">${t("funnel.question")}</p>
    <${FunnelPickers} />
    <${Answer} loaded=${loaded} prompt=${t("funnel.prompt")} isEmpty=${(result) => result.steps[0].users === 0}>
      ${(result, body) => html`<${FunnelAnswer} result=${result} body=${body} />`}
    <//>
  </section>`;
}

function FunnelPickers() {
  const { t, choices, choose } = usePage();
  const chosen = choices.funnel;
  const set = (change) => choose({ funnel: { ...chosen, ...change } });
  const setWindow = (change) => set({ window: { ...chosen.window, ...change } });
  const read = (event) => Math.min(10000, Math.max(1, Math.round(Number(event.target.value)) || 1));
  return html`<form class="pickers" onSubmit=${(event) => event.preventDefault()}>
    <${EventList} label=${t("funnel.steps")} values=${chosen.steps} add=${t("funnel.add")} ordered onPick=${(steps) => set({ steps })} />
    <div class="row">
      <${DatePicker} />
      <div class="pair">
        <${Field} label=${t("funnel.window")}>
          <input
            type="number"
            min="1"
            max="10000"
            value=${chosen.window.value}
            onChange=${(event) => setWindow({ value: read(event) })}
          />
        <//>
        <${Choice}
          label=${t("funnel.unit")}
          value=${chosen.window.unit}
          options=${WINDOW_UNITS.map((unit) => [unit, t(`unit.${unit}`)])}
          onPick=${(unit) => setWindow({ unit })}
        />
      </div>
      <${PropertySelect}
        label=${t("picker.breakdown")}
        value=${chosen.breakdown}
        none=${t("picker.none")}
        onPick=${(breakdown) => set({ breakdown })}
      />
    </div>
  </form>`;
}

function FunnelAnswer({ result, body }) {
  const { t, choices } = usePage();
  return html`<${Summary} steps=${result.steps} />
    <${Bars} steps=${result.steps} body=${body} />
    ${result.groups.length > 0 && html`<${Groups} result=${result} body=${body} />`}
    ${result.steps.length > 1 &&
    html`<h2>${t("funnel.trend")}</h2>
      <${LineChart}
        label=${t("funnel.trend")}
        buckets=${result.trend.map(({ bucket }) => bucket)}
        interval=${intervalOf(choices.range)}
        lines=${[{ name: t("funnel.rate"), values: result.trend.map(({ rate, entered }) => (entered === 0 ? null : Number(rate))) }]}
      />
      ${result.trend.some(({ partial }) => partial) && html`<p class="hint">${t("funnel.partial")}</p>`}`}`;
}

function Summary({ steps }) {
  const { t, format } = usePage();
  const last = steps.at(-1);
  const loss = largestLoss(steps);
  const tiles = [
    [t("funnel.entered"), format.count(steps[0].users)],
    [t("funnel.converted"), format.count(last.users)],
    [t("funnel.rate"), format.rate(last.conversion_rate)],
    ...(loss ? [[t("funnel.loss"), format.rate(loss.rate), `${steps[loss.step - 1].label} → ${steps[loss.step].label}`]] : []),
  ];
  return html`<dl class="tiles">
    ${tiles.map(
      ([name, value, note]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
          ${note && html`<dd class="note" title=${note}>${note}</dd>`}
        </div>`,
    )}
  </dl>`;
}

/** A row a step: as long as the share that reached it; the hatched part is who was lost since the step before. */
function Bars({ steps, body }) {
  const { t, format, showPeople } = usePage();
  const first = steps[0].users;
  const ask = (step, outcome) =>
    showPeople({
      analysis: "funnel",
      body,
      cell: { step, outcome },
      outcomes: step > 0 ? ["converted", "dropped"] : ["converted"],
      title: steps[step].label,
    });
  return html`<ol class="bars">
    ${steps.map((step, index) => {
      const lost = index > 0 ? step.dropped : 0;
      const reached = t("funnel.reached", { count: step.users, label: step.label });
      const dropped = t("funnel.dropped", { count: lost, label: step.label });
      return html`<li>
        <div class="bar-head">
          <span class="name" title=${step.label}>${step.label}</span>
          <span class="figures"><b>${format.count(step.users)}</b> ${format.rate(step.conversion_rate)}</span>
        </div>
        <div class="track">
          <button
            type="button"
            class="fill"
            style=${{ flexGrow: step.users / first }}
            disabled=${step.users === 0}
            aria-label=${reached}
            title=${reached}
            onClick=${() => ask(index, "converted")}
          ></button>
          ${lost > 0 &&
          html`<button
            type="button"
            class="lost"
            style=${{ flexGrow: lost / first }}
            aria-label=${dropped}
            title=${dropped}
            onClick=${() => ask(index, "dropped")}
          ></button>`}
          <span class="rest" style=${{ flexGrow: Math.max(0, 1 - (step.users + lost) / first) }}></span>
        </div>
        ${index > 0 &&
        html`<p class="bar-foot">
          <span>${t("funnel.from_previous", { rate: format.rate(step.step_conversion_rate) })}</span>
          <button type="button" class="link" disabled=${lost === 0} onClick=${() => ask(index, "dropped")}>
            ${t("funnel.lost", { count: lost })}
          </button>
          <span>${t("funnel.median", { time: format.duration(step.median_seconds) })}</span>
        </p>`}
      </li>`;
    })}
  </ol>`;
}

function Groups({ result, body }) {
  const { t, format, showPeople } = usePage();
  const { groups, steps } = result;
  const name = (key) => groupName(t, key);
  const ask = (key, step) =>
    showPeople({
      analysis: "funnel",
      body,
      cell: { step, outcome: step > 0 ? "dropped" : "converted", key },
      outcomes: step > 0 ? ["converted", "dropped"] : ["converted"],
      title: `${steps[step].label} · ${name(key)}`,
    });
  return html`<h2>${t("funnel.groups")}</h2>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("funnel.groups")}>
      <table class="heat">
        <thead>
          <tr>
            <th scope="col">${body.breakdown.properties[0].property}</th>
            ${steps.map((step) => html`<th scope="col" class="name" title=${step.label}>${step.label}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${groups.map(
            (group) =>
              html`<tr key=${keyOf(group.key)}>
                <th scope="row" class="name" title=${name(group.key)}>${name(group.key)}</th>
                ${group.steps.map((step, index) => {
                  const share = index === 0 ? null : Number(step.step_conversion_rate);
                  return html`<td>
                    <button
                      type="button"
                      class=${share === null ? "cell" : share > STRONG ? "cell shaded strong" : "cell shaded"}
                      style=${share === null ? {} : { "--share": share }}
                      disabled=${step.users === 0 && step.dropped === 0}
                      aria-label=${`${name(group.key)}, ${step.label}: ${format.count(step.users)}${share === null ? "" : `, ${format.rate(share)}`}`}
                      onClick=${() => ask(group.key, index)}
                    >
                      ${format.count(step.users)}${share === null ? null : html`<small>${format.share(share)}</small>`}
                    </button>
                  </td>`;
                })}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="hint">${t("funnel.groups_hint")}</p>`;
}
