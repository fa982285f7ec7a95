/** A bar chart as SVG: one bar for each row, with a line from the minimum to the maximum. */

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  /** Whether it is coloured. */
  readonly own: boolean;
}

/** What stands above the bars, and how their figures are written. */
export interface ChartText {
  readonly title: string;
  format(value: number): string;
}

const width = 700;
const labelWidth = 190;
const figureWidth = 80;
const barHeight = 18;
const rowHeight = 28;
const top = 40;
const bottom = 12;

/** Draws `bars` from top to bottom. They begin at 0, so that their lengths can be compared; it suits dark pages too. */
export function barChart(bars: readonly Bar[], { title, format }: ChartText): string {
  const height = top + bars.length * rowHeight + bottom;
  const most = Math.max(...bars.map(({ max }) => max));
  const length = (value: number) => most > 0 ? round(value / most * (width - labelWidth - figureWidth)) : 0;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escape(title)}</title>
<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600}.b{fill:#fff}.o{fill:#0072b2}.p{fill:#a0a7ae}
.w{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#0d1117}.p{fill:#6e7681}.w{stroke:#e6edf3}}
</style>
<rect class="b" width="100%" height="100%" rx="6"/>
<text class="t" x="12" y="24">${escape(title)}</text>
${bars.map((bar, index) => drawBar(bar, top + index * rowHeight, length, format(bar.value))).join("\n")}
</svg>
`;
}

function drawBar(bar: Bar, y: number, length: (value: number) => number, figure: string): string {
  const middle = y + barHeight / 2;
  const [from, to] = [labelWidth + length(bar.min), labelWidth + length(bar.max)];
  const whisker = bar.min === bar.max
    ? ""
    : `<path class="w" d="M${round(from)} ${middle}H${round(to)}M${round(from)} ${middle - 4}v8M${round(to)} ${
      middle - 4
    }v8"/>`;
  return `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end">${escape(bar.label)}</text>` +
    `<rect class="${bar.own ? "o" : "p"}" x="${labelWidth}" y="${y}" width="${
      length(bar.value)
    }" height="${barHeight}"/>` +
    whisker + `<text x="${round(to + 8)}" y="${middle + 4}">${escape(figure)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
