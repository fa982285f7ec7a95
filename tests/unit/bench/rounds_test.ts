import { assertEquals } from "@std/assert";
import type { Ground } from "../../../scripts/bench/ground.ts";
import { measureRounds } from "../../../scripts/bench/rounds.ts";
import type { Scenario } from "../../../scripts/bench/scenario.ts";
import type { Subject } from "../../../scripts/bench/subject.ts";

const subject = (name: string, own: boolean) => ({ name, title: name, own }) as unknown as Subject;

/** A scenario that notes what it measures. */
function scenario(name: string, measured: string[], more: Partial<Scenario> = {}): Scenario {
  return {
    name,
    title: name,
    about: "",
    columns: [],
    seconds: () => 1,
    measure({ name: of }) {
      measured.push(`${name} ${of}`);
      return Promise.resolve({});
    },
    ...more,
  };
}

const pace = { seconds: 1, firstWarmUpSeconds: 0, warmUpSeconds: 0 };
const ground = { pace, signal: new AbortController().signal } as unknown as Ground;

Deno.test("measureRounds() takes turns, and measures roundhouse alone where others can't take part", async () => {
  const measured: string[] = [];
  const lines: string[] = [];
  const subjects = [subject("wire", true), subject("haproxy", false)];
  const scenarios = [scenario("small", measured), scenario("pools", measured, { ownOnly: true })];
  const findings = await measureRounds({ scenarios, subjects, rounds: 2, onlyUsual: true }, ground, (line) => {
    lines.push(line);
  });
  const rounds = ["small wire", "small haproxy", "pools wire", "small haproxy", "small wire", "pools wire"];
  assertEquals(measured, rounds);
  assertEquals(lines[0], "6 measurements, about 6 s");
  assertEquals(findings.leftOut(), []);
});

Deno.test("measureRounds() leaves out rounds and subjects that tell nothing new, unless they were named", async () => {
  const subjects = [subject("wire", true), subject("wire@1234567", true), subject("caddy", false)];
  const measuredWith = async (onlyUsual: boolean) => {
    const measured: string[] = [];
    const scenarios = [scenario("1m", measured, { usualSubjects: ["wire"], mostRounds: 1 })];
    await measureRounds({ scenarios, subjects, rounds: 3, onlyUsual }, ground, () => {});
    return measured;
  };
  assertEquals(await measuredWith(true), ["1m wire", "1m wire@1234567"]);
  assertEquals(await measuredWith(false), ["1m wire", "1m wire@1234567", "1m caddy"]);
});

// One port that was taken twice left a subject out of all rounds.
Deno.test("measureRounds() tries a failed measurement again, and then goes on with the others", async () => {
  let fails = 1;
  let measured = 0;
  const measure = () =>
    fails-- > 0 ? Promise.reject(new Error("the port is taken")) : Promise.resolve({ n: ++measured });
  const scenarios = [scenario("memory", [], { measure }), scenario("small", [])];
  const plan = { scenarios, subjects: [subject("wire", true)], rounds: 2, onlyUsual: true };
  const findings = await measureRounds(plan, ground, () => {});
  assertEquals([findings.leftOut(), measured], [[], 2]);
  fails = Infinity;
  const failed = await measureRounds(plan, ground, () => {});
  assertEquals(failed.leftOut(), [{ title: "wire", reason: "the port is taken", scenarios: ["memory"] }]);
  assertEquals(failed.results(scenarios, plan.subjects, new Map()).map(({ name }) => name), ["small"]);
});
