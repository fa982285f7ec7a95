// What operators are told about metrics is true: documentation, dashboard and alerts speak of metrics that exist.

import { assert, assertEquals } from "@std/assert";
import { metricFamilies } from "../../src/admin/metrics.ts";
import { configSchema } from "../../src/config/schema.ts";
import { ERROR_CODES } from "../../src/errors.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { Memory } from "../../src/memory/memory.ts";
import { certificateState, clusterStatus } from "../support/status.ts";

const ROOT = new URL("../../", import.meta.url);

const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

const memory = Memory.allocate();

const source = { kind: "file", ok: true, lastSuccess: null, staleSince: null, error: null } as const;

const families = metricFamilies({
  pools: { all: () => [{ pool: new ServerPool(memory.pool(0)), source }] },
  cluster: { status: () => clusterStatus(), clear: () => Promise.resolve() },
  certificates: () => [certificateState("a.example")],
  configInForce: () => configSchema.parse({ routes: { "*/*": "default" } }),
  memory,
  version: "",
  startedAt: new Date(),
  facts: () => ({ strategy: "", engine: "wire", workers: 1 }),
  workerRestarts: () => 0,
});

/** The metrics that a text names, without the suffixes of a histogram's samples. */
function named(text: string): Set<string> {
  const names = text.match(/\b(?:roundhouse|process)_[a-z_]+/g) ?? [];
  return new Set(names.map((name) => name.replace(/_(?:bucket|sum|count)$/, "")));
}

Deno.test("docs/operations.md explains every metric and every error, and none that there is not", () => {
  const text = read("docs/operations.md");
  assertEquals([...named(text)].sort(), families.map(({ name }) => name).sort());
  const [, errors = ""] = text.split("\n## Errors\n");
  const rows = [...errors.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, codes = ""]) => codes.split(", "));
  assertEquals(rows.sort(), ERROR_CODES.map((code) => `\`${code}\``).sort());
});

Deno.test("the Grafana dashboard and the alerts ask for metrics that exist", () => {
  const known = new Set(families.map(({ name }) => name));
  for (const path of ["deploy/grafana-dashboard.json", "deploy/alerts.yaml"]) {
    const asked = named(read(path));
    assert(asked.size > 5, path);
    assertEquals([...asked].filter((name) => !known.has(name)), [], path);
  }
  JSON.parse(read("deploy/grafana-dashboard.json"));
});

Deno.test("docs/operations.md says what to do about every alert", () => {
  const alerts = [...read("deploy/alerts.yaml").matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const [, advice = ""] = read("docs/operations.md").split("\n## When an alert fires\n");
  const told = [...advice.matchAll(/^\*\*(.+?)\.\*\*/gm)].flatMap(([, names = ""]) => names.split(", "));
  assertEquals(told.sort(), alerts.sort());
});
