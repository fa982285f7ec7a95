/** The flags of `deno task bench`. */
import { parseArgs } from "@std/cli/parse-args";
import type { DecisionTable } from "./decisions.ts";
import { lookups } from "./lookups.ts";
import { picks } from "./picks.ts";
import type { Pace, Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/registry.ts";
import type { Subject } from "./subject.ts";
import { subjects } from "./subjects/registry.ts";

/** What to do. */
export interface Options {
  readonly scenarios: readonly Scenario[];
  /** What is measured of no proxy, but inside of roundhouse. */
  readonly decisions: readonly Decisions[];
  readonly subjects: readonly Subject[];
  /** Whether each scenario leaves out the subjects that do not usually take part, because the flags name none. */
  readonly onlyUsual: boolean;
  readonly rounds: number;
  readonly pace: Pace;
  /** Where the figures go as JSON. */
  readonly json?: string;
  /** Whether tables and charts go to docs/. */
  readonly write: boolean;
  /** Another revision that roundhouse is measured against. */
  readonly ref?: string;
}

/** Decisions without any traffic. */
interface Decisions {
  /** The name for `--only`. */
  readonly name: string;
  readonly table: () => DecisionTable;
}

const decisions: readonly Decisions[] = [{ name: "picks", table: picks }, { name: "lookups", table: lookups }];
const measurable: readonly { readonly name: string }[] = [...scenarios, ...decisions];

/** What `--quick` measures when `--only` does not say. */
const quickNames: readonly string[] = ["small", "64k"];

/** What `--ref` measures when `--only` does not say. */
const refNames: readonly string[] = ["small", "64k", "post", "headers"];

/** With fewer rounds no difference could stand out of the noise. */
const fewestRefRounds = 6;

/** Load before the first measurement of a program with a load. */
const firstWarmUpSeconds = 4;

/** The same with `--ref`. A difference in how far the code has been compiled would count as one of the code. */
const refWarmUpSeconds = 12;

/** For `--help`. */
export const usage = `usage: deno task bench [OPTIONS]
  --only NAME,...      what to measure (default: everything):
                       ${namesOf(measurable)}
  --subjects NAME,...  which programs (default: all):
                       ${namesOf(subjects)};
                       without this flag, the costlier measurements leave some of them out
  --rounds N           number of rounds; each measures everything once (default 3, with --ref 10); some need
                       fewer
  --seconds N          length of a measurement (default 3)
  --quick              about a minute: one round of 1 s, with ${quickNames.join(", ")} unless --only is given
  --ref REV            compare this tree with another revision of roundhouse: ${refNames.join(", ")}
                       unless --only is given; each load is warmed up for ${refWarmUpSeconds} s first
  --json FILE          write the figures to this file too
  --write              write tables and charts to docs/performance.md; only for a whole run`;

/** The options of the flags, or the first error in them. */
export function parseOptions(args: string[]): Options | "help" | Error {
  const unknown: string[] = [];
  const flags = parseArgs(args, {
    string: ["only", "subjects", "rounds", "seconds", "json", "ref"],
    boolean: ["quick", "write", "help"],
    alias: { help: "h" },
    unknown: (arg) => {
      unknown.push(arg);
      return false;
    },
  });
  if (flags.help === true) return "help";
  if (unknown[0] !== undefined) return new Error(`unknown argument ${unknown[0]}`);

  const quick = flags.quick === true;
  const ref = flags.ref === undefined ? undefined : String(flags.ref);
  if (ref === "") return new Error("--ref wants a revision, such as HEAD~1");
  const fewestRounds = ref === undefined ? 1 : fewestRefRounds;
  const rounds = wholeNumber(flags.rounds ?? (ref !== undefined ? "10" : quick ? "1" : "3"), 20);
  if (rounds === undefined || rounds < fewestRounds) {
    return new Error(`--rounds must be a whole number from ${fewestRounds} to 20`);
  }
  const seconds = wholeNumber(flags.seconds ?? (quick ? "1" : "3"), 60);
  if (seconds === undefined) return new Error("--seconds must be a whole number from 1 to 60");
  const usual = ref !== undefined ? refNames.join() : quick ? quickNames.join() : undefined;
  const wanted = chosen("--only", flags.only ?? usual, measurable);
  if (wanted instanceof Error) return wanted;
  const wantedSubjects = chosen("--subjects", flags.subjects, subjects);
  if (wantedSubjects instanceof Error) return wantedSubjects;
  const write = flags.write === true;
  if (write && (quick || ref !== undefined || flags.only !== undefined || flags.subjects !== undefined)) {
    return new Error("--write is for a whole run: without --quick, --only, --subjects and --ref");
  }
  if (flags.json === "") return new Error("--json wants a file name");
  return {
    scenarios: scenarios.filter((scenario) => wanted.includes(scenario)),
    decisions: decisions.filter((one) => wanted.includes(one)),
    subjects: ref === undefined || flags.subjects !== undefined
      ? wantedSubjects
      : wantedSubjects.filter(({ own }) => own),
    onlyUsual: flags.subjects === undefined,
    rounds,
    pace: { seconds, firstWarmUpSeconds: firstWarmUp(ref, quick), warmUpSeconds: 1 },
    write,
    ...(flags.json === undefined ? {} : { json: String(flags.json) }),
    ...(ref === undefined ? {} : { ref }),
  };
}

function firstWarmUp(ref: string | undefined, quick: boolean): number {
  if (ref !== undefined) return refWarmUpSeconds;
  return quick ? 1 : firstWarmUpSeconds;
}

/** Those that a comma-separated list names, in the order of `all`; all without a list. */
function chosen<T extends { readonly name: string }>(flag: string, list: unknown, all: readonly T[]): T[] | Error {
  if (list === undefined) return [...all];
  const wanted = String(list).split(",");
  const strange = wanted.find((name) => !all.some((one) => one.name === name));
  if (strange !== undefined) return new Error(`${flag} takes ${namesOf(all)}, received "${strange}"`);
  return all.filter(({ name }) => wanted.includes(name));
}

function wholeNumber(text: unknown, max: number): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(String(text)) && value >= 1 && value <= max ? value : undefined;
}

function namesOf(all: readonly { readonly name: string }[]): string {
  return all.map(({ name }) => name).join(", ");
}
