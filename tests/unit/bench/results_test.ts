import { assertEquals } from "@std/assert";
import { Findings, medianOf, toJson } from "../../../scripts/bench/results.ts";
import { scenarios } from "../../../scripts/bench/scenarios/registry.ts";
import { subjects } from "../../../scripts/bench/subjects/registry.ts";

Deno.test("Findings has each sample in its row, and each reason to be left out once for a subject", () => {
  const [first, second, third] = scenarios;
  const [wire, other, absent] = subjects;
  if (!first || !second || !third || !wire || !other || !absent) throw new Error("too few to test with");
  const findings = new Findings();
  findings.add(second, other, { cpuMicros: 3 });
  for (const cpuMicros of [5, 1, 2]) findings.add(first, other, { cpuMicros });
  findings.add(first, wire, { cpuMicros: 9 });
  for (const scenario of [first, third]) findings.leaveOut(scenario, absent, "not installed");
  findings.leaveOut(third, wire, "it broke");

  const results = findings.results(scenarios, subjects, new Map([[wire, "1.2"]]));
  const rows = results.map(({ name, rows }) => [name, rows.map((row) => [row.name, row.version, row.samples.length])]);
  assertEquals(rows, [
    [first.name, [[wire.name, "1.2", 1], [other.name, "?", 3]]],
    [second.name, [[other.name, "?", 1]]],
  ]);
  assertEquals(medianOf(results, first.name, other.name, "cpuMicros"), 2);
  assertEquals(medianOf(results, first.name, absent.name, "cpuMicros"), undefined);
  assertEquals(findings.isLeftOut(third, wire), true);
  assertEquals(findings.isLeftOut(first, wire), false);
  assertEquals(findings.leftOut(), [
    { title: absent.title, reason: "not installed", scenarios: [first.name, third.name] },
    { title: wire.title, reason: "it broke", scenarios: [third.name] },
  ]);

  const { conditions, scenarios: all } = JSON.parse(toJson(results, findings.leftOut(), { cores: 2 }));
  assertEquals(conditions, { cores: 2 });
  assertEquals(all[0].rows[1].figures.cpuMicros, { median: 2, min: 1, max: 5 });
  assertEquals(all[0].rows[1].samples, [{ cpuMicros: 5 }, { cpuMicros: 1 }, { cpuMicros: 2 }]);
});
