// Asks for the secret key, once a tab: it stays in this tab's sessionStorage, and goes nowhere but into a header.
import { html, useEffect, usePage, useRef, useState, ProblemBox } from "./page.js";
import { Api, Problem } from "./api.js";

const STORED = "footfall.key";

export function storedKey() {
  return sessionStorage.getItem(STORED);
}

export function forgetKey() {
  sessionStorage.removeItem(STORED);
}

/** Calls `onKey(key)` with a key that opens something. `problem` is why the last one was given up. */
export function SignIn({ problem: before, onKey }) {
  const { t } = usePage();
  const input = useRef(null);
  const [problem, setProblem] = useState(before);
  const [busy, setBusy] = useState(false);
  useEffect(() => input.current.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    const key = input.current.value.trim();
    if (key === "") return;
    setBusy(true);
    try {
      if (!/^[\x21-\x7e]+$/.test(key)) throw new Problem(401, { code: "unauthorised", detail: t("sign_in.not_a_key") });
      await new Api(key).projects();
      sessionStorage.setItem(STORED, key);
      onKey(key);
    } catch (error) {
      setProblem(error);
      setBusy(false);
      input.current.select();
    }
  };
  return html`<main class="sign-in">
    <form onSubmit=${submit}>
      <h1>${t("sign_in.title")}</h1>
      <p>${t("sign_in.explain")}</p>
      <label class="field">
        <span>${t("sign_in.key")}</span>
        <input ref=${input} type="password" autocomplete="off" spellcheck=${false} placeholder="ff_sk_…" />
      </label>
      <button type="submit" class="primary" disabled=${busy}>${t("sign_in.open")}</button>
      ${problem && html`<${ProblemBox} problem=${problem} />`}
      <p class="hint">${t("sign_in.where")} <a href="/openapi.json">${t("sign_in.api")}</a></p>
    </form>
  </main>`;
}
