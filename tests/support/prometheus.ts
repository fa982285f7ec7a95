/** Reads the Prometheus text format 0.0.4. Refuses everything that differs from it or from its conventions. */

/** A metric as scraped. */
export interface ScrapedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

interface Sample {
  /** With its suffix. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf)|\+Inf|NaN)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/** A scrape, family by family. Throws, naming the line, at the first thing that is wrong. */
export class Scrape {
  readonly families = new Map<string, ScrapedFamily>();

  constructor(text: string) {
    if (!text.endsWith("\n")) throw new Error("the last line has no line break");
    let current: { name: string; family: ScrapedFamily } | undefined;
    let help: { name: string; text: string } | undefined;
    for (const line of text.slice(0, -1).split("\n")) {
      const fail = (why: string): never => {
        throw new Error(`${why}: ${line}`);
      };
      if (line === "") continue;
      if (line.startsWith("# HELP ")) {
        const [name = "", ...words] = line.slice(7).split(" ");
        help = { name, text: words.join(" ") };
        if (help.text === "") fail("no help");
      } else if (line.startsWith("# TYPE ")) {
        const [name = "", type = "", ...rest] = line.slice(7).split(" ");
        if (!NAME.test(name) || rest.length > 0 || !["counter", "gauge", "histogram"].includes(type)) fail("no type");
        if (help?.name !== name) fail("help and type are not of the same metric");
        if (this.families.has(name)) fail("a second time");
        current = { name, family: { type, help: help?.text ?? "", samples: [] } };
        this.families.set(name, current.family);
      } else {
        const sample = readSample(line) ?? fail("no sample");
        if (current === undefined || !belongs(sample.name, current)) fail("a sample of another family");
        else current.family.samples.push(sample);
      }
    }
    for (const [name, family] of this.families) checkFamily(name, family);
  }

  /** The values of a metric's samples whose labels include these. */
  values(name: string, labels: Readonly<Record<string, string>> = {}): number[] {
    const family = [...this.families.values()].find(({ samples }) => samples.some((sample) => sample.name === name));
    return (family?.samples ?? []).filter((sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
    ).map(({ value }) => value);
  }

  /** Their sum. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.values(name, labels).reduce((sum, value) => sum + value, 0);
  }
}

function readSample(line: string): Sample | undefined {
  const [, name, labelText = "", value] = SAMPLE.exec(line) ?? [];
  if (name === undefined || value === undefined) return undefined;
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < labelText.length) {
    const [, label, escaped] = LABEL.exec(labelText) ?? [];
    if (label === undefined || escaped === undefined || label in labels) return undefined;
    labels[label] = escaped.replace(/\\(.)/g, (_, character) => character === "n" ? "\n" : character);
  }
  return { name, labels, value: value.endsWith("Inf") ? Infinity * (value.startsWith("-") ? -1 : 1) : Number(value) };
}

function belongs(sample: string, { name, family }: { name: string; family: ScrapedFamily }): boolean {
  if (family.type !== "histogram") return sample === name;
  return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
}

function checkFamily(name: string, { type, samples }: ScrapedFamily): void {
  const fail = (why: string): never => {
    throw new Error(`${name}: ${why}`);
  };
  if (type === "counter" && !name.endsWith("_total")) fail("a counter without _total");
  if (type !== "counter" && name.endsWith("_total")) fail("_total, but no counter");
  if (type !== "gauge" && samples.some(({ value }) => !(value >= 0))) fail("a negative count");
  const series = samples.map((sample) => JSON.stringify([sample.name, Object.entries(sample.labels).sort()]));
  if (new Set(series).size !== series.length) fail("the same series twice");
  if (type === "histogram") checkHistogram(name, samples, fail);
}

function checkHistogram(name: string, samples: readonly Sample[], fail: (why: string) => never): void {
  const rest = ({ labels: { le: _, ...others } }: Sample) => JSON.stringify(Object.entries(others).sort());
  for (const [key, series] of Map.groupBy(samples, rest)) {
    const buckets = series.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: { le } }) => le === "+Inf" ? Infinity : Number(le ?? "none"));
    if (bounds.some((bound, index) => !(bound > (bounds[index - 1] ?? -Infinity)))) fail(`${key}: bounds do not rise`);
    const counts = buckets.map(({ value }) => value);
    if (counts.some((count, index) => count < (counts[index - 1] ?? 0))) fail(`${key}: buckets are not cumulative`);
    const count = series.filter((sample) => sample.name === `${name}_count`);
    const sum = series.filter((sample) => sample.name === `${name}_sum`);
    if (bounds.at(-1) !== Infinity || count.length !== 1 || sum.length !== 1) fail(`${key}: not whole`);
    if (counts.at(-1) !== count[0]?.value) fail(`${key}: the last bucket is not the count`);
  }
}

/** Scrapes `/metrics` of an admin server. */
export async function scrape(adminUrl: string): Promise<Scrape> {
  const response = await fetch(`${adminUrl}/metrics`);
  const contentType = response.headers.get("content-type");
  if (contentType !== "text/plain; version=0.0.4; charset=utf-8") throw new Error(`content type ${contentType}`);
  return new Scrape(await response.text());
}
