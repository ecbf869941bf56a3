// What do they do next, and instead? Sessions as a Sankey, position by position; grey is where they left.
import { html, usePage, useAnswer, Answer } from "./page.js";
import { Choice, DatePicker, EventList, EventSelect, Field, PropertySelect } from "./pickers.js";
import { bodyOf, pathGraph } from "./queries.js";
import { Chart } from "./chart.js";

const DEPTHS = [3, 4, 5, 6, 8, 10];
const MAX_LABEL = 17;
const COLUMN_WIDTH = 190;
const ROW_HEIGHT = 42; // more than nodeGap, so that nodes have a height
const LEAST_HEIGHT = 320;

export function Paths() {
  const { t, choices } = usePage();
  const loaded = useAnswer("paths", bodyOf(choices));
  return html`<section aria-labelledby="view-title">
    <h1 id="view-title">${t("paths.title")}</h1>
    <p class="question">${t("paths.question")}</p>
    <${PathsPickers} names=${loaded.value?.answer.result.nodes.map(({ name }) => name) ?? []} />
    <${Answer} loaded=${loaded} prompt="" isEmpty=${(result) => result.sessions === 0}>
      ${(result, body) => html`<${PathsAnswer} result=${result} body=${body} />`}
    <//>
  </section>`;
}

function PathsPickers({ names }) {
  const { t, choices, choose, catalogue } = usePage();
  const chosen = choices.paths;
  const set = (change) => choose({ paths: { ...chosen, ...change } });
  const depths = DEPTHS.includes(chosen.steps) ? DEPTHS : [...DEPTHS, chosen.steps].sort((a, b) => a - b);
  const nodes = [...new Set([...names, ...catalogue.events.map(({ event }) => event)])];
  return html`<form class="pickers" onSubmit=${(event) => event.preventDefault()}>
    <${EventList} label=${t("paths.events")} values=${chosen.events} add=${t("paths.add")} onPick=${(events) => set({ events })} />
    <div class="row">
      <${DatePicker} />
      <${NodeInput} label=${t("paths.start")} value=${chosen.start} list="path-nodes" onPick=${(start) => set({ start })} />
      <${NodeInput} label=${t("paths.end")} value=${chosen.end} list="path-nodes" onPick=${(end) => set({ end })} />
      <datalist id="path-nodes">${nodes.map((name) => html`<option value=${name} />`)}</datalist>
      <${Choice}
        label=${t("paths.steps")}
        value=${chosen.steps}
        options=${depths.map((depth) => [depth, String(depth)])}
        onPick=${(steps) => set({ steps: Number(steps) })}
      />
      <${EventSelect} label=${t("paths.at")} value=${chosen.at} any=${t("paths.no_event")} onPick=${(at) => set({ at })} />
      ${chosen.at &&
      html`<${PropertySelect}
        label=${t("paths.property")}
        value=${chosen.property && { of: "event", property: chosen.property }}
        none=${t("paths.event_name")}
        owners=${["event"]}
        onPick=${(picked) => set({ property: picked && picked.property })}
      />`}
    </div>
  </form>`;
}

/** A node's name: an event's, or a property's value, so any text; taken when the field is left or Enter pressed. */
function NodeInput({ label, value, list, onPick }) {
  const { t } = usePage();
  return html`<${Field} label=${label}>
    <input
      type="search"
      key=${value}
      defaultValue=${value}
      list=${list}
      placeholder=${t("paths.anywhere")}
      autocomplete="off"
      spellcheck=${false}
      onChange=${(event) => event.target.value !== value && onPick(event.target.value)}
      onKeyDown=${(event) => event.key === "Enter" && event.target.blur()}
    />
  <//>`;
}

function PathsAnswer({ result, body }) {
  const { t, format, showPeople } = usePage();
  const graph = pathGraph(result, body.max_steps);
  const ask = (cell, title, outcomes) => showPeople({ analysis: "paths", body, cell, title, outcomes });
  const askNode = (node, outcome) => ask({ node: node.id, outcome }, `${node.step} · ${node.name}`, ["reached", "continued", "exited"]);
  const askLink = ({ source, target }) =>
    ask({ source, target }, `${graph.names.get(source)} → ${graph.names.get(target)}`);
  const pick = ({ dataType, data }) => {
    if (dataType === "edge") return data.exit ? askNode(data.exit, "exited") : askLink(data.link);
    return data.node && askNode(data.node, "reached");
  };
  const tip = (_chart, _x, _y, over) => {
    if (!over) return null;
    const { dataType, data } = over;
    if (dataType === "edge" && data.exit) return [data.exit.name, t("paths.exits", { count: data.exit.exits })];
    if (dataType === "edge") {
      const { link } = data;
      const count = t("paths.sessions", { count: link.count });
      const time = t("paths.after", { time: format.duration(link.average_seconds) });
      return [`${graph.names.get(link.source)} → ${graph.names.get(link.target)}`, count, t("people.total", { count: link.users }), time];
    }
    if (!data.node) return null;
    const { name, sessions, users, exits } = data.node;
    return [name, t("paths.sessions", { count: sessions }), t("people.total", { count: users }), t("paths.exits", { count: exits })];
  };
  return html`<p class="total">
      ${t("paths.total", { count: result.sessions })}${result.other > 0 && html` · ${t("paths.other", { count: result.other })}`}
    </p>
    <div class="scroll">
      <${Chart}
        className="sankey"
        label=${t("paths.chart")}
        option=${(colours) => sankeyOption(graph, colours, t, format)}
        point=${tip}
        pick=${pick}
        size=${{ width: graph.depth * COLUMN_WIDTH, height: Math.max(LEAST_HEIGHT, graph.widest * ROW_HEIGHT) }}
      />
    </div>
    <${NodeTable} nodes=${result.nodes} onPick=${askNode} />
    <${LinkTable} links=${result.links} names=${graph.names} onPick=${askLink} />`;
}

/** Nodes go by numbers here: their names may be anything. */
function sankeyOption(graph, colours, t, format) {
  const label = ({ data }) => (data.node ? `${shorten(data.node.name)}  ${format.count(data.node.sessions)}` : t("paths.left"));
  return {
    textStyle: { fontFamily: colours.font },
    series: [
      {
        type: "sankey",
        left: 6,
        right: 150,
        top: 10,
        bottom: 10,
        nodeWidth: 12,
        nodeGap: 18,
        draggable: false,
        layoutIterations: 48,
        emphasis: { focus: "adjacency", lineStyle: { opacity: 0.6 } },
        lineStyle: { color: "source", opacity: 0.28, curveness: 0.5 },
        label: { color: colours.ink, fontSize: 12, formatter: label, textBorderColor: colours.surface, textBorderWidth: 3 },
        data: graph.nodes.map((each) => ({
          ...each,
          itemStyle: { color: each.node ? colours.series[each.colour % colours.series.length] : colours.line, borderWidth: 0 },
          ...(each.node ? {} : { label: { color: colours.muted } }),
        })),
        links: graph.links.map((each) => ({ ...each, ...(each.exit ? { lineStyle: { color: colours.muted, opacity: 0.16 } } : {}) })),
      },
    ],
  };
}

function shorten(text) {
  const letters = [...text];
  return letters.length > MAX_LABEL ? `${letters.slice(0, MAX_LABEL - 1).join("")}…` : text;
}

function NodeTable({ nodes, onPick }) {
  const { t, format } = usePage();
  const number = (node, outcome, count) =>
    html`<td>
      <button
        type="button"
        class="link"
        disabled=${count === 0}
        aria-label=${`${node.step} ${node.name}, ${t(`outcome.${outcome}`)}: ${format.count(count)}`}
        onClick=${() => onPick(node, outcome)}
      >
        ${format.count(count)}
      </button>
    </td>`;
  return html`<details class="numbers">
    <summary>${t("paths.nodes")}</summary>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("paths.nodes")}>
      <table>
        <thead>
          <tr>
            <th scope="col">${t("paths.position")}</th>
            <th scope="col">${t("paths.node")}</th>
            <th scope="col">${t("outcome.reached")}</th>
            <th scope="col">${t("outcome.continued")}</th>
            <th scope="col">${t("outcome.exited")}</th>
          </tr>
        </thead>
        <tbody>
          ${nodes.map(
            (node) =>
              html`<tr key=${node.id}>
                <td>${node.step}</td>
                <th scope="row" class="name" title=${node.name}>${node.name}</th>
                ${number(node, "reached", node.sessions)}${number(node, "continued", node.continuing)}${number(node, "exited", node.exits)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
}

function LinkTable({ links, names, onPick }) {
  const { t, format } = usePage();
  return html`<details class="numbers">
    <summary>${t("paths.links")}</summary>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("paths.links")}>
      <table>
        <thead>
          <tr>
            <th scope="col">${t("paths.from_node")}</th>
            <th scope="col">${t("paths.to_node")}</th>
            <th scope="col">${t("paths.sessions_head")}</th>
            <th scope="col">${t("paths.people_head")}</th>
            <th scope="col">${t("paths.time_head")}</th>
          </tr>
        </thead>
        <tbody>
          ${links.map(
            (link) =>
              html`<tr key=${`${link.source}\n${link.target}`}>
                <th scope="row" class="name" title=${link.source}>${link.source}</th>
                <td class="name" title=${link.target}>${link.target}</td>
                <td>${format.count(link.count)}</td>
                <td>
                  <button
                    type="button"
                    class="link"
                    aria-label=${`${names.get(link.source)} → ${names.get(link.target)}: ${format.count(link.users)}`}
                    onClick=${() => onPick(link)}
                  >
                    ${format.count(link.users)}
                  </button>
                </td>
                <td>${format.duration(link.average_seconds)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
}
