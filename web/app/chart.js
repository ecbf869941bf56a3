// A canvas drawn by ECharts, which is loaded when first needed. Its own tooltips are HTML or a markup: ours are text.
import { html, useEffect, useRef, useState } from "./page.js";

let library = null;

function loadLibrary() {
  library ??= import("../vendor/echarts-6.1.0.esm.min.js");
  return library;
}

const COLOURS = ["--ink", "--muted", "--line", "--surface", "--accent", "--lost"];
const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6", "--series-7"];

/** The page's colours as they are now, light or dark. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  const named = Object.fromEntries(COLOURS.map((name) => [name.slice(2), read(name)]));
  return { ...named, series: SERIES.map(read), font: getComputedStyle(document.body).fontFamily };
}

/**
 * `option(palette)` is ECharts' option; `point(chart, x, y, params)` gives the lines of text to show at a place, or
 * null, and `pick(params)` is told of a click on something. Neither gets keyboards: tables beside the chart do.
 */
export function Chart({ label, option, point, pick, className, size }) {
  const place = useRef(null);
  const current = useRef(null);
  current.current = { option, point, pick };
  const [hint, setHint] = useState(null);

  useEffect(() => {
    let chart = null;
    let over = null;
    let ended = false;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = () => chart?.setOption(finished(current.current.option(palette())), { notMerge: true });
    const resize = new ResizeObserver(() => chart?.resize());
    const show = (event) => {
      const lines = current.current.point?.(chart, event.offsetX, event.offsetY, over);
      setHint(lines ? { lines, x: event.offsetX, y: event.offsetY, flip: event.offsetX > chart.getWidth() * 0.6 } : null);
    };
    loadLibrary().then(({ init }) => {
      if (ended) return;
      chart = init(place.current, null, { renderer: "canvas" });
      place.current.chart = chart;
      draw();
      chart.on("mouseover", (params) => (over = params));
      chart.on("mouseout", () => (over = null));
      chart.on("click", (params) => current.current.pick?.(params));
      chart.getZr().on("mousemove", show);
      chart.getZr().on("globalout", () => setHint(null));
      resize.observe(place.current);
    });
    scheme.addEventListener("change", draw);
    place.current.draw = draw;
    return () => {
      ended = true;
      scheme.removeEventListener("change", draw);
      resize.disconnect();
      chart?.dispose();
    };
  }, []);
  useEffect(() => place.current.draw());

  return html`<div class="chart-frame">
    <div class=${`chart ${className ?? ""}`} style=${size ? { minWidth: `${size.width}px`, height: `${size.height}px` } : {}} role="img" aria-label=${label} ref=${place}></div>
    ${hint &&
    html`<div class=${hint.flip ? "tip flip" : "tip"} style=${{ left: `${hint.x}px`, top: `${hint.y}px` }}>
      ${hint.lines.map((line) => html`<div>${line}</div>`)}
    </div>`}
  </div>`;
}

function finished(option) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  return { animation: !still, animationDuration: 300, backgroundColor: "transparent", ...option };
}
