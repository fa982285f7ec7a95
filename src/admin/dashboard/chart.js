/** Requests and errors per second of the last five minutes: two plots, one above the other, with one cursor. */

// @ts-types="uplot"
import uPlot from "./uplot.js";
import { byId, setText, show } from "./dom.js";
import { formatRate, formatTime } from "./format.js";
import { HISTORY_SECONDS } from "./history.js";

/** @import { Filter, Second } from "./traffic_feed.js" */

const REQUESTS_HEIGHT = 186;
const ERRORS_HEIGHT = 96;
const AXIS_WIDTH = 48;

/** Connects the cursors of both plots. */
const SYNC = "traffic";

const LEGEND = /** @type {const} */ (["requests", "errors", "failed", "attempts"]);

/** The chart and its legend, with the figures under the cursor or the latest ones. */
export class TrafficChart {
  #container = byId("chart");
  #values = LEGEND.map((name) => byId(`legend-${name}`));
  #title = byId("chart-title");
  #all = byId("chart-all");
  /** @type {readonly Second[]} */
  #seconds = [];
  /** @type {number | null | undefined} */
  #hovered;
  /** @type {uPlot} */
  #requests;
  /** @type {uPlot} */
  #errors;

  constructor() {
    const width = this.#container.clientWidth;
    const onCursor = (/** @type {uPlot} */ plot) => {
      this.#hovered = plot.cursor.idx;
      this.#showFigures();
    };
    this.#requests = new uPlot(
      options({ width, height: REQUESTS_HEIGHT, onCursor, series: [line("--accent", "--accent-area")] }),
      [[], []],
      this.#container,
    );
    this.#errors = new uPlot(
      options({
        width,
        height: ERRORS_HEIGHT,
        onCursor,
        hasTimes: true,
        series: [
          line("--warning", "--warning-area"),
          line("--bad", "--bad-area"),
          line("--broken", "--broken-area"),
        ],
      }),
      [[], [], [], []],
      this.#container,
    );
    new ResizeObserver(() => this.#fit()).observe(this.#container);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /**
   * @param {readonly Second[]} seconds oldest first
   * @param {Filter | undefined} filter whose traffic it is; `undefined`: all
   * @param {number} now seconds since 1970, on the server's clock
   */
  update(seconds, filter, now) {
    this.#seconds = seconds;
    setText(this.#title, `Traffic${filter === undefined ? "" : ` of ${filter.kind} ${filter.name}`}, last 5 minutes`);
    show(this.#all, filter !== undefined);
    const times = seconds.map(({ at }) => at);
    const range = { min: now - HISTORY_SECONDS, max: now };
    const column = (/** @type {Exclude<keyof Second, "at">} */ name) => seconds.map((second) => second[name]);
    draw(this.#requests, [times, column("requests")], range);
    draw(this.#errors, [times, column("failedAttempts"), column("serverErrors"), column("failed")], range);
    this.#showFigures();
  }

  #showFigures() {
    const second = (this.#hovered == null ? undefined : this.#seconds[this.#hovered]) ?? this.#seconds.at(-1);
    const figures = [second?.requests, second?.serverErrors, second?.failed, second?.failedAttempts];
    this.#values.forEach((value, index) => setText(value, formatRate(figures[index] ?? null)));
  }

  #fit() {
    const width = this.#container.clientWidth;
    if (width === 0) return;
    this.#requests.setSize({ width, height: REQUESTS_HEIGHT });
    this.#errors.setSize({ width, height: ERRORS_HEIGHT });
  }

  #redraw() {
    this.#requests.redraw(false, true);
    this.#errors.redraw(false, true);
  }
}

/**
 * @param {uPlot} plot
 * @param {uPlot.AlignedData} data
 * @param {{ min: number, max: number }} range
 */
function draw(plot, data, range) {
  plot.batch(() => {
    plot.setData(data, false);
    plot.setScale("x", range);
  });
}

/**
 * Colours are read at each drawing, so that they follow the theme of the system.
 *
 * @param {string} stroke the custom property that names its colour
 * @param {string} fill
 * @returns {uPlot.Series}
 */
function line(stroke, fill) {
  return { stroke: () => colour(stroke), fill: () => colour(fill), width: 1.75, points: { show: false } };
}

/** @param {string} property */
function colour(property) {
  return getComputedStyle(document.documentElement).getPropertyValue(property);
}

/**
 * @param {object} options
 * @param {number} options.width
 * @param {number} options.height
 * @param {(plot: uPlot) => void} options.onCursor
 * @param {uPlot.Series[]} options.series
 * @param {boolean} [options.hasTimes] below the plot
 * @returns {uPlot.Options}
 */
function options({ width, height, onCursor, series, hasTimes = false }) {
  /** @type {uPlot.Axis} */
  const axis = {
    stroke: () => colour("--text-soft"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
    font: `11px ${colour("--font")}`,
  };
  return {
    width,
    height,
    padding: [8, 18, hasTimes ? 0 : 4, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC }, y: false, drag: { setScale: false, x: false, y: false } },
    hooks: { setCursor: [onCursor] },
    scales: {
      x: { time: true },
      // The axis begins at 0, and its range is never so small that one request looks like many.
      y: { range: (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.1)] },
    },
    series: [{}, ...series],
    axes: [
      {
        ...axis,
        show: hasTimes,
        size: 24,
        gap: 4,
        space: 60,
        values: (_plot, times) => times.map((time) => formatTime(new Date(time * 1000)).slice(0, 5)),
        incrs: [60, 120],
      },
      {
        ...axis,
        size: AXIS_WIDTH,
        gap: 6,
        space: 28,
        values: (_plot, values) => values.map(formatRate),
      },
    ],
  };
}
