// The people behind a number, in a dialog: a list, and from it each one's profile and timeline.
import { html, useEffect, useLoaded, usePage, useRef, useState, Loading, ProblemBox } from "./page.js";
import { writeAddress } from "./address.js";
import { PersonDetails } from "./person.js";

const PAGE_SIZE = 50;

/** `asked` is {analysis, body, cell, outcomes, title}: outcomes that can be switched between, none for one list. */
export function PeopleDialog({ asked, onClose }) {
  const { t } = usePage();
  const dialog = useRef(null);
  const [outcome, setOutcome] = useState(asked.cell.outcome);
  const [person, setPerson] = useState(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const cell = asked.cell.outcome === undefined ? asked.cell : { ...asked.cell, outcome };
  return html`<dialog
    ref=${dialog}
    aria-labelledby="people-title"
    onClose=${onClose}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}
  >
    <div class="sheet">
      <header>
        <h2 id="people-title">${asked.title}</h2>
        <button type="button" class="icon" aria-label=${t("people.close")} title=${t("people.close")} onClick=${() => dialog.current.close()}>
          ×
        </button>
      </header>
      ${person !== null &&
      html`<button type="button" class="link back" onClick=${() => setPerson(null)}>← ${t("people.back")}</button>
        <${PersonDetails} key=${person} id=${person} />`}
      <div hidden=${person !== null}>
        ${asked.outcomes?.length > 1 &&
        html`<div class="switch" role="group" aria-label=${t("people.outcome")}>
          ${asked.outcomes.map(
            (each) =>
              html`<button type="button" aria-pressed=${each === outcome} onClick=${() => setOutcome(each)}>
                ${t(`outcome.${each}`)}
              </button>`,
          )}
        </div>`}
        <${PeopleList} key=${JSON.stringify(cell)} asked=${asked} cell=${cell} onPick=${setPerson} />
      </div>
    </div>
  </dialog>`;
}

function PeopleList({ asked, cell, onPick }) {
  const { t, api } = usePage();
  const [cursor, setCursor] = useState(null);
  const [pages, setPages] = useState([]);
  const loaded = useLoaded(JSON.stringify(cursor), (signal) =>
    api.users(asked.analysis, { ...asked.body, cell, limit: PAGE_SIZE, ...(cursor ? { cursor } : {}) }, signal),
  );
  const page = loaded.value;
  useEffect(() => {
    if (page) setPages((was) => (was.includes(page) ? was : [...was, page]));
  }, [page]);
  const last = pages.at(-1);
  return html`${last && html`<p class="total" role="status">${t("people.total", { count: last.total })}</p>`}
    ${last && last.total > 0 && html`<${PeopleTable} users=${pages.flatMap(({ users }) => users)} onPick=${onPick} />`}
    ${loaded.loading && html`<${Loading} label=${t("loading")} />`}
    ${loaded.problem && html`<${ProblemBox} problem=${loaded.problem} retry=${loaded.retry} />`}
    ${!loaded.loading && last?.next_cursor && html`<button type="button" onClick=${() => setCursor(last.next_cursor)}>${t("people.more")}</button>`}`;
}

function PeopleTable({ users, onPick }) {
  const { t, format, choices } = usePage();
  const address = (id) => writeAddress({ ...choices, view: "person", person: { id } });
  const open = (id) => (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onPick(id);
  };
  return html`<table class="people">
    <thead>
      <tr>
        <th scope="col">${t("people.id")}</th>
        <th scope="col">${t("people.first")}</th>
        <th scope="col">${t("people.last")}</th>
      </tr>
    </thead>
    <tbody>
      ${users.map((user) => {
        const id = user.user_id || user.distinct_ids[0] || "";
        return html`<tr>
          <th scope="row" class="id"><a href=${address(id)} onClick=${open(id)}>${id}</a></th>
          <td>${format.moment(user.first_time)}</td>
          <td>${format.moment(user.last_time)}</td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}
