// Rates over buckets or periods, as lines, with the same numbers in a table below.
import { html, usePage } from "./page.js";
import { Chart } from "./chart.js";

/** `lines` are {name, values}: rates, null where there is none; `buckets` local dates, or texts without interval. */
export function LineChart({ label, buckets, interval, lines }) {
  const { t, format } = usePage();
  const names = buckets.map((bucket) => (interval ? format.bucket(bucket, interval) : bucket));
  const top = Math.max(0, ...lines.flatMap(({ values }) => values.map(Number)));
  const option = (colours) => ({
    textStyle: { fontFamily: colours.font },
    grid: { left: 4, right: 14, top: 14, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: {
      type: "category",
      data: names,
      boundaryGap: false,
      axisLine: { lineStyle: { color: colours.line } },
      axisTick: { show: false },
      axisLabel: { color: colours.muted, hideOverlap: true },
    },
    yAxis: {
      type: "value",
      min: 0,
      splitNumber: 3,
      ...(top > 0.75 ? { max: 1, interval: 0.25 } : {}),
      splitLine: { lineStyle: { color: colours.line } },
      axisLabel: { color: colours.muted, formatter: (value) => format.share(value) },
    },
    series: lines.map(({ values }, index) => ({
      type: "line",
      data: values,
      symbolSize: 6,
      showSymbol: values.length <= 40,
      emphasis: { disabled: true },
      cursor: "default",
      lineStyle: { width: index === 0 ? 2.5 : 1.5 },
      color: colours.series[index % colours.series.length],
    })),
  });
  const point = (chart, x, y) => {
    if (!chart.containPixel({ gridIndex: 0 }, [x, y])) return null;
    const at = chart.convertFromPixel({ xAxisIndex: 0 }, x);
    if (names[at] === undefined) return null;
    const shown = lines.map(({ name, values }) => `${name}: ${values[at] === null || values[at] === undefined ? "–" : format.rate(values[at])}`);
    return [names[at], ...shown];
  };
  return html`<${Chart} label=${label} option=${option} point=${point} className="line" />
    ${lines.length > 1 &&
    html`<ul class="legend">
      ${lines.map(({ name }, index) => html`<li><i class=${`series-${index + 1}`}></i>${name}</li>`)}
    </ul>`}
    <details class="numbers">
      <summary>${t("chart.numbers")}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${label}>
        <table>
          <thead>
            <tr>
              <th scope="col"></th>
              ${lines.map(({ name }) => html`<th scope="col" class="name">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${names.map(
              (name, at) =>
                html`<tr>
                  <th scope="row">${name}</th>
                  ${lines.map(({ values }) => html`<td>${values[at] === null || values[at] === undefined ? "–" : format.rate(values[at])}</td>`)}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>`;
}
