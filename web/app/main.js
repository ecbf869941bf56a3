// The console: who is signed in, which project, which view, in which language.
import { html, render, useCallback, useEffect, useLoaded, useState, Loading, Page, ProblemBox } from "./page.js";
import { Api } from "./api.js";
import { readAddress, startChoices, writeAddress } from "./address.js";
import { formats } from "./format.js";
import { localeOf, rememberLanguage, startLanguage, translator } from "./language.js";
import { Funnel } from "./funnel.js";
import { Person } from "./person.js";
import { Paths } from "./paths.js";
import { PeopleDialog } from "./people.js";
import { Retention } from "./retention.js";
import { SignIn, forgetKey, storedKey } from "./sign_in.js";

const VIEWS = { funnel: Funnel, retention: Retention, paths: Paths, person: Person };

function Console() {
  const [language, setLanguage] = useState(startLanguage);
  const [key, setKey] = useState(storedKey);
  const [refusal, setRefusal] = useState(null);
  const locale = localeOf(language);
  const format = formats(locale);
  const page = { language, locale, format, t: translator(language, format.count) };
  useEffect(() => {
    document.documentElement.lang = locale;
  }, [locale]);
  const pick = (next) => {
    rememberLanguage(next);
    setLanguage(next);
  };
  const leave = useCallback((problem) => {
    forgetKey();
    setRefusal(problem ?? null);
    setKey(null);
  }, []);
  return html`<${Page.Provider} value=${page}>
    ${key
      ? html`<${Session} key=${key} secret=${key} page=${page} onLanguage=${pick} onLeave=${leave} />`
      : html`<header class="top"><${Brand} /><span class="push"></span><${LanguageSwitch} page=${page} onPick=${pick} /></header>
          <${SignIn} problem=${refusal} onKey=${setKey} />`}
  <//>`;
}

/** What a key opens: its projects, and the catalogue of the one that is looked at. */
function Session({ secret, page, onLanguage, onLeave }) {
  const { t } = page;
  const [api] = useState(() => new Api(secret));
  const [choices, choose] = useChoices();
  const listed = useLoaded("projects", (signal) => api.projects(signal));
  const projects = listed.value?.projects ?? [];
  const project = projects.find(({ name }) => name === choices.project) ?? (choices.project ? null : startProject(projects));
  const catalogue = useLoaded(project && project.name, async (signal) => {
    const [seen, saved] = await Promise.all([api.catalogue(project.name, signal), api.virtualEvents(project.name, signal)]);
    return { ...seen, virtual: saved.virtual_events.map(({ name }) => name) };
  });
  const refused = [listed.problem, catalogue.problem].find((problem) => problem?.status === 401);
  useEffect(() => refused && onLeave(refused), [refused]);
  const problem = listed.problem ?? catalogue.problem;
  const unknown = listed.value && !project;
  const ready = project && catalogue.value?.project === project.name;
  return html`<header class="top">
      <${Brand} />
      <${Views} choices=${choices} t=${t} />
      <span class="push"></span>
      ${listed.value && html`<${ProjectSelect} t=${t} projects=${projects} project=${project} onPick=${(name) => choose({ project: name })} />`}
      <${LanguageSwitch} page=${page} onPick=${onLanguage} />
      <button type="button" class="quiet" onClick=${() => onLeave()}>${t("leave")}</button>
    </header>
    <main>
      ${problem && html`<${ProblemBox} problem=${problem} retry=${listed.problem ? listed.retry : catalogue.retry} />`}
      ${unknown && html`<${ProblemBox} problem=${new Error(t("project.unknown", { name: choices.project ?? "" }))} />`}
      ${!problem && !unknown && !ready && html`<${Loading} label=${t("loading")} />`}
      ${ready && html`<${Room} page=${page} api=${api} project=${project} catalogue=${catalogue.value} choices=${choices} choose=${choose} />`}
    </main>`;
}

/** The view, and the dialog over it. */
function Room({ page, api, project, catalogue, choices, choose }) {
  const [asked, setAsked] = useState(null);
  const shown = {
    ...page,
    api,
    catalogue,
    choose,
    choices: { ...choices, project: project.name },
    project: project.name,
    zone: project.timezone,
    format: formats(page.locale, project.timezone),
    showPeople: setAsked,
  };
  useEffect(() => {
    document.title = `${page.t(`view.${choices.view}`)} · Footfall`;
  }, [choices.view, page.language]);
  useEffect(() => setAsked(null), [writeAddress(shown.choices)]);
  const View = VIEWS[choices.view] ?? Funnel;
  return html`<${Page.Provider} value=${shown}>
    <${View} key=${project.name} />
    ${asked && html`<${PeopleDialog} asked=${asked} onClose=${() => setAsked(null)} />`}
  <//>`;
}

/** What is chosen, in step with the address after #, so that going back and reloading work. */
function useChoices() {
  const [choices, setChoices] = useState(() => readAddress(location.hash, startChoices()));
  useEffect(() => {
    const follow = () => setChoices((was) => readAddress(location.hash, was));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const choose = (change) => {
    const next = { ...choices, ...change };
    setChoices(next);
    history.pushState(null, "", writeAddress(next));
  };
  return [choices, choose];
}

function startProject(projects) {
  return projects.find(({ name }) => name === "default") ?? projects[0] ?? null;
}

function Brand() {
  return html`<a class="brand" href="#/funnel"><span class="mark" aria-hidden="true"></span>Footfall</a>`;
}

function Views({ choices, t }) {
  return html`<nav aria-label=${t("views")}>
    ${Object.keys(VIEWS).map(
      (view) =>
        html`<a href=${writeAddress({ ...choices, view })} aria-current=${view === choices.view ? "page" : undefined}>${t(`view.${view}`)}</a>`,
    )}
  </nav>`;
}

function ProjectSelect({ t, projects, project, onPick }) {
  return html`<select class="project" aria-label=${t("project")} value=${project?.name} onChange=${(event) => onPick(event.target.value)}>
    ${!project && html`<option value="" selected></option>`}
    ${projects.map(({ name }) => html`<option value=${name} selected=${name === project?.name}>${name}</option>`)}
  </select>`;
}

function LanguageSwitch({ page, onPick }) {
  const other = page.language === "zh" ? "en" : "zh";
  return html`<button type="button" class="quiet" lang=${localeOf(other)} onClick=${() => onPick(other)}>
    ${other === "zh" ? "中文" : "English"}
  </button>`;
}

render(html`<${Console} />`, document.getElementById("app"));
