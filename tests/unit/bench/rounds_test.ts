import { assertEquals } from "@std/assert";
import type { Ground } from "../../../scripts/bench/ground.ts";
import { measureRounds } from "../../../scripts/bench/rounds.ts";
import type { Scenario } from "../../../scripts/bench/scenario.ts";
import type { Subject } from "../../../scripts/bench/subject.ts";

const subject = (name: string, own: boolean) => ({ name, title: name, own }) as unknown as Subject;

function scenario(name: string, measured: string[], ownOnly?: true): Scenario {
  return {
    name,
    title: name,
    about: "",
    columns: [],
    ...(ownOnly === undefined ? {} : { ownOnly }),
    seconds: () => 1,
    measure({ name: of }) {
      measured.push(`${name} ${of}`);
      return Promise.resolve({});
    },
  };
}

Deno.test("measureRounds() takes turns, and measures roundhouse alone where others can't take part", async () => {
  const measured: string[] = [];
  const lines: string[] = [];
  const subjects = [subject("wire", true), subject("haproxy", false)];
  const scenarios = [scenario("small", measured), scenario("pools", measured, true)];
  const ground = { pace: { seconds: 1, warmUpSeconds: 0 }, signal: new AbortController().signal } as unknown as Ground;
  const findings = await measureRounds({ scenarios, subjects, rounds: 2, warmsUp: false }, ground, (line) => {
    lines.push(line);
  });
  const rounds = ["small wire", "small haproxy", "pools wire", "small haproxy", "small wire", "pools wire"];
  assertEquals(measured, rounds);
  assertEquals(lines[0], "6 measurements, about 6 s");
  assertEquals(findings.leftOut(), []);
});
