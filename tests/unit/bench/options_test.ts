import { assert, assertEquals } from "@std/assert";
import { type Options, parseOptions } from "../../../scripts/bench/options.ts";

function parsed(...args: string[]): Options {
  const options = parseOptions(args);
  assert(typeof options === "object" && !(options instanceof Error), String(options));
  return options;
}

const names = (all: readonly { readonly name: string }[]) => all.map(({ name }) => name);

Deno.test("parseOptions() chooses by name, in the order of the tables", () => {
  const { scenarios, subjects, rounds } = parsed(
    "--only",
    "1m,small",
    "--subjects=nginx,wire,haproxy",
    "--rounds",
    "2",
  );
  assertEquals(names(scenarios), ["small", "1m"]);
  assertEquals(names(subjects), ["wire", "haproxy", "nginx"]);
  assertEquals(rounds, 2);
});

Deno.test("parseOptions() measures all unless told, and little when in haste", () => {
  const [all, quick] = [parsed(), parsed("--quick")];
  assert(all.scenarios.length > quick.scenarios.length);
  assertEquals(quick.subjects, all.subjects);
  assertEquals([quick.rounds, quick.pace.seconds], [1, 1]);
  assertEquals(names(parsed("--quick", "--only", "post").scenarios), ["post"]);
  assertEquals([names(all.decisions), names(quick.decisions)], [["picks", "lookups"], []]);
  assertEquals(names(parsed("--only", "picks,small").decisions), ["picks"]);
  assertEquals(parsed("--only", "picks").scenarios, []);
});

Deno.test("parseOptions() measures roundhouse alone against another revision, unless told", () => {
  const { ref, subjects, scenarios, rounds } = parsed("--ref", "HEAD~1");
  assertEquals([ref, rounds], ["HEAD~1", 10]);
  assert(parsed("--ref", "HEAD~1").pace.firstWarmUpSeconds >= 10);
  assertEquals(names(subjects), ["wire", "wire-2", "fetch", "fetch-2"]);
  assertEquals(names(scenarios), ["small", "64k", "post", "headers"]);
  assertEquals(names(parsed("--ref", "HEAD", "--subjects", "wire,haproxy").subjects), ["wire", "haproxy"]);
});

Deno.test("parseOptions() says the first thing wrong", () => {
  const bad: [string[], string][] = [
    [["--only", "small,huge"], 'received "huge"'],
    [["--subjects=wire,"], 'received ""'],
    [["--rounds", "0"], "--rounds must be a whole number from 1 to 20"],
    [["--seconds", "1.5"], "--seconds must be a whole number from 1 to 60"],
    [["--json"], "--json wants a file name"],
    [["--write", "--quick"], "--write is for a whole run"],
    [["--subjects", "wire", "--write"], "--write is for a whole run"],
    [["--ref"], "--ref wants a revision"],
    [["--ref", "HEAD", "--rounds", "5"], "--rounds must be a whole number from 6 to 20"],
    [["--ref", "HEAD", "--write"], "--write is for a whole run"],
    [["--fast"], "unknown argument --fast"],
    [["extra"], "unknown argument extra"],
  ];
  for (const [args, message] of bad) {
    const error = parseOptions(args);
    assert(error instanceof Error && error.message.includes(message), `${args}: ${error}`);
  }
});
