// Groups of a breakdown: what they are called, and which one is looked at.
import { html, usePage } from "./page.js";
import { keyOf } from "./queries.js";
import { valueText } from "./format.js";

/** A group's name: its values, with words for a missing one and for the rest. */
export function groupName(t, key) {
  return key.map((part) => (part === "$other" ? t("group.other") : valueText(part, t("value.missing")))).join(" · ");
}

/** Buttons for everybody and each group; `chosen` is a group's key, null for everybody. */
export function GroupSwitch({ groups, chosen, onPick }) {
  const { t } = usePage();
  const wanted = keyOf(chosen);
  const entries = [[null, t("group.all")], ...groups.map(({ key }) => [key, groupName(t, key)])];
  return html`<div class="switch wide" role="group" aria-label=${t("picker.breakdown")}>
    ${entries.map(
      ([key, name]) =>
        html`<button type="button" class="name" title=${name} aria-pressed=${keyOf(key) === wanted} onClick=${() => onPick(key)}>
          ${name}
        </button>`,
    )}
  </div>`;
}
