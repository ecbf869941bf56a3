// What every part of the page shares: the language, formats, the API, and asking it.
import { createContext, html, useContext, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.module.js";

export * from "../vendor/htm-preact-3.1.1.module.js";

/** {t, format, language, api, project, zone, catalogue, choices, choose, showPeople, showPerson} */
export const Page = createContext(null);

export function usePage() {
  return useContext(Page);
}

/**
 * What `load(signal)` resolves to: {value, problem, loading, retry}. Asks again when `key` changes, and gives up
 * what was asked before; the last value stays while the next is loading. A null key asks nothing.
 */
export function useLoaded(key, load) {
  const [state, setState] = useState({ value: null, problem: null, loading: key !== null });
  const [round, setRound] = useState(0);
  const loadNow = useRef(load);
  loadNow.current = load;
  useEffect(() => {
    if (key === null) {
      setState({ value: null, problem: null, loading: false });
      return undefined;
    }
    const control = new AbortController();
    setState((was) => ({ ...was, problem: null, loading: true }));
    loadNow.current(control.signal).then(
      (value) => setState({ value, problem: null, loading: false }),
      (problem) => problem.name !== "AbortError" && setState({ value: null, problem, loading: false }),
    );
    return () => control.abort();
  }, [key, round]);
  return { ...state, retry: () => setRound((was) => was + 1) };
}

/** Asks an analysis: as useLoaded, with {answer, body} that belong together as the value. */
export function useAnswer(analysis, body) {
  const { api } = usePage();
  const key = body && JSON.stringify(body);
  return useLoaded(key, async (signal) => ({ body, answer: await api.ask(analysis, body, signal) }));
}

/** A thin bar while something loads; for screen readers a word. */
export function Loading({ label }) {
  return html`<p class="loading" role="status"><span class="sr">${label}</span></p>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p><strong>${title}</strong></p>${children && html`<p>${children}</p>`}</div>`;
}

/** What the API said is wrong, where, and what it suggests. */
export function ProblemBox({ problem, retry }) {
  const { t } = usePage();
  const fields = problem.fields ?? {};
  const faults = fields.errors ?? (fields.field ? [fields] : []);
  const known = problem.status !== undefined;
  return html`<div class="problem" role="alert">
    <p>
      <strong>${problem.status === 0 ? t("problem.unreachable") : t("problem.title")}</strong>
      ${problem.status ? html` <span class="code">${problem.status} ${fields.code ?? ""}</span>` : null}
    </p>
    ${known ? fields.detail && html`<p>${fields.detail}</p>` : html`<p>${String(problem)}</p>`}
    ${faults.length > 0 &&
    html`<ul>
      ${faults.map(
        (fault) =>
          html`<li>
            ${fault.field ? html`<code>${fault.field}</code>: ` : null}${fault.message}
            ${fault.nearest ? html` ${t("problem.nearest")} <code>${fault.nearest}</code>` : null}
          </li>`,
      )}
    </ul>`}
    ${retry && html`<button type="button" onClick=${retry}>${t("problem.retry")}</button>`}
  </div>`;
}

/**
 * The frame of an answer: what is missing, loading, wrong or empty; else `children(answer, body)`. An older answer
 * stays, faded, while the next one loads.
 */
export function Answer({ loaded, prompt, isEmpty, children }) {
  const { t, format } = usePage();
  const { value, problem, loading, retry } = loaded;
  if (problem) return html`<${ProblemBox} problem=${problem} retry=${retry} />`;
  if (!value) return loading ? html`<${Loading} label=${t("loading")} />` : html`<${Empty} title=${prompt} />`;
  const { answer, body } = value;
  const { meta } = answer;
  return html`<div class=${loading ? "answer stale" : "answer"} aria-busy=${loading}>
    ${loading && html`<${Loading} label=${t("loading")} />`}
    ${meta.warnings.length > 0 &&
    html`<ul class="warnings">
      ${meta.warnings.map((warning) => html`<li>${warning}</li>`)}
    </ul>`}
    ${isEmpty(answer.result)
      ? html`<${Empty} title=${t("empty.title")}>${t("empty.hint")}<//>`
      : children(answer.result, body)}
    <p class="meta">
      ${t("meta.until", { time: format.moment(meta.data_until) })} · ${meta.timezone} ·
      ${" "}${t("meta.read", { rows: format.count(meta.rows_read), ms: format.count(Math.round(meta.elapsed_ms)) })}
    </p>
  </div>`;
}
