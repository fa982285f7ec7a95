/** The form of a metric with its samples, as `prom-client` writes it. */

import { BUCKET_BOUNDS_MS, type Histogram } from "../memory/stripes.ts";

/** One line of the output. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** The name with a suffix, if it differs from that of the family. */
  readonly metricName?: string;
}

/** A metric with all its label values, in the form that `prom-client` takes from other processes. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Each sample occurs once. */
  readonly aggregator: "first";
  readonly values: readonly Sample[];
}

/** A count that only grows. */
export function counter(name: string, help: string, values: readonly Sample[]): Family {
  return { name, help, type: "counter", aggregator: "first", values };
}

/** A value that goes up and down. */
export function gauge(name: string, help: string, values: readonly Sample[]): Family {
  return { name, help, type: "gauge", aggregator: "first", values };
}

/** A metric without labels. */
export function single(type: "counter" | "gauge", name: string, help: string, value: number): Family {
  return { name, help, type, aggregator: "first", values: [{ labels: {}, value }] };
}

/** Durations, by their labels. */
export function histogram(
  name: string,
  help: string,
  histograms: readonly (readonly [labels: Sample["labels"], histogram: Histogram])[],
): Family {
  const values = histograms.flatMap(([labels, { buckets, sumMs }]) => {
    let total = 0;
    const cumulative = buckets.map((count, index): Sample => {
      const bound = BUCKET_BOUNDS_MS[index];
      const le = bound === undefined ? "+Inf" : bound / 1000;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: total += count };
    });
    return [
      ...cumulative,
      { metricName: `${name}_sum`, labels, value: sumMs / 1000 },
      { metricName: `${name}_count`, labels, value: total },
    ];
  });
  return { name, help, type: "histogram", aggregator: "first", values };
}
