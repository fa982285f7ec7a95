/** The route that Prometheus scrapes. */

import type { Route } from "../guard.ts";
import type { MetricsSource } from "../metrics.ts";
import { nextTurn } from "../../net/next_turn.ts";

/** A family with more samples than this takes milliseconds to write down. */
const MANY_SAMPLES = 500;

/** `/metrics`. */
export function metricsRoutes(source: MetricsSource): readonly Route[] {
  return [{
    path: "/metrics",
    methods: {
      GET: {
        about: {
          summary: "Metrics for Prometheus",
          answers: [{
            status: 200,
            summary: "Text format 0.0.4",
            contentType: "text/plain; version=0.0.4; charset=utf-8",
          }],
        },
        answer: () => exposition(source),
      },
    },
  }];
}

/** Text format 0.0.4. */
async function exposition(source: MetricsSource): Promise<Response> {
  // Loaded at the first scrape, so that the start does not wait for them.
  const { metricFamilies } = await import("../metrics.ts");
  const { AggregatorRegistry, prometheusContentType } = await import("prom-client");
  let text = "";
  for (const family of metricFamilies(source)) {
    // `aggregate` accepts values that were counted elsewhere, such as these from shared memory.
    text += await AggregatorRegistry.aggregate([[family]]).metrics();
    // With 1,000 backends this takes 0.2 s in total. Requests are served in between.
    if (family.values.length > MANY_SAMPLES) await nextTurn();
  }
  const body = new TextEncoder().encode(text);
  return new Response(body, {
    headers: {
      "content-type": prometheusContentType,
      "content-length": String(body.length), // without it, HEAD would say 0
      "cache-control": "no-store",
    },
  });
}
