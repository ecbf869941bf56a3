// One person: all their ids, their profile, and what they did, newest first.
import { html, useEffect, useLoaded, usePage, useState, Empty, Loading, ProblemBox } from "./page.js";
import { Field } from "./pickers.js";
import { valueText } from "./format.js";

/** The view: an id to look for, and who it is. */
export function Person() {
  const { t, choices, choose } = usePage();
  const { id } = choices.person;
  const submit = (event) => {
    event.preventDefault();
    choose({ person: { id: event.target.elements.id.value.trim() } });
  };
  return html`<section aria-labelledby="view-title">
    <h1 id="view-title">${t("person.title")}</h1>
    <p class="question">${t("person.question")}</p>
    <form class="pickers" onSubmit=${submit}>
      <div class="row find">
        <${Field} label=${t("person.id")}><input name="id" key=${id} defaultValue=${id} autocomplete="off" spellcheck=${false} /><//>
        <button type="submit" class="primary">${t("person.find")}</button>
      </div>
    </form>
    ${id ? html`<${PersonDetails} key=${id} id=${id} />` : html`<${Empty} title=${t("person.prompt")} />`}
  </section>`;
}

export function PersonDetails({ id }) {
  const { t, format, api, project } = usePage();
  const loaded = useLoaded(JSON.stringify([project, id]), (signal) => api.person(project, id, signal));
  if (loaded.problem) return html`<${ProblemBox} problem=${loaded.problem} retry=${loaded.retry} />`;
  if (!loaded.value) return html`<${Loading} label=${t("loading")} />`;
  const person = loaded.value;
  return html`<article class="person">
    <h3 class="id">${person.user_id || id}</h3>
    <dl class="facts">
      <dt>${t("person.ids")}</dt>
      <dd>${person.distinct_ids.map((each) => html`<code>${each}</code> `)}</dd>
      ${Object.entries(person.identities ?? {}).map(
        ([key, values]) =>
          html`<dt>${key}</dt>
            <dd>${values.map((each) => html`<code>${each}</code> `)}</dd>`,
      )}
      <dt>${t("people.first")}</dt>
      <dd>${format.moment(person.first_time)}</dd>
      <dt>${t("people.last")}</dt>
      <dd>${format.moment(person.last_time)}</dd>
    </dl>
    <h3>${t("person.profile")}</h3>
    <${Properties} properties=${person.properties} none=${t("person.no_profile")} />
    <h3>${t("person.timeline")}</h3>
    <${Timeline} id=${id} />
  </article>`;
}

function Properties({ properties, none }) {
  const { t } = usePage();
  const names = Object.keys(properties);
  if (names.length === 0) return html`<p class="hint">${none}</p>`;
  return html`<dl class="facts">
    ${names.map(
      (name) =>
        html`<dt>${name}</dt>
          <dd>${valueText(properties[name], t("value.missing"))}</dd>`,
    )}
  </dl>`;
}

function Timeline({ id }) {
  const { t, format, api, project } = usePage();
  const [before, setBefore] = useState(null);
  const [pages, setPages] = useState([]);
  const loaded = useLoaded(JSON.stringify([project, id, before]), (signal) => api.timeline(project, id, before, signal));
  const page = loaded.value;
  useEffect(() => {
    if (page) setPages((was) => (was.includes(page) ? was : [...was, page]));
  }, [page]);
  const events = pages.flatMap((each) => each.events);
  const sessions = new Map(pages.flatMap((each) => each.sessions ?? []).map((each) => [each.number, each]));
  const last = pages.at(-1);
  return html`${last && events.length === 0 && html`<p class="hint">${t("person.no_events")}</p>`}
    <ol class="timeline">
      ${events.map(
        (event, index) =>
          html`${begins(events, index) && html`<${SessionHead} session=${sessions.get(event.session)} />`}
          <li>
            <details>
              <summary><time datetime=${event.time}>${format.moment(event.time)}</time> <b>${event.event}</b></summary>
              <${Properties} properties=${event.properties} none=${t("person.no_properties")} />
            </details>
          </li>`,
      )}
    </ol>
    ${loaded.loading && html`<${Loading} label=${t("loading")} />`}
    ${loaded.problem && html`<${ProblemBox} problem=${loaded.problem} retry=${loaded.retry} />`}
    ${!loaded.loading && last?.next_before && html`<button type="button" onClick=${() => setBefore(last.next_before)}>${t("person.earlier")}</button>`}`;
}

/** Whether an event is the first shown of its session: the list is newest first. */
function begins(events, index) {
  const { session } = events[index];
  return session !== null && session !== undefined && session !== events[index - 1]?.session;
}

function SessionHead({ session }) {
  const { t, format } = usePage();
  if (!session) return null;
  const seconds = (Date.parse(session.to) - Date.parse(session.from)) / 1000;
  return html`<li class="session">
    ${t("person.session", { number: session.number })} · ${t("person.session_events", { count: session.events })} · ${format.duration(seconds)}
  </li>`;
}
