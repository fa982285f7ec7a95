/** The command line of the soak. */

import { parseArgs } from "@std/cli/parse-args";

export const USAGE = "usage: deno task soak [--minutes N | --seconds N] [--engine fetch|wire] [--part NAME] [--seed N]";

export interface Options {
  readonly durationMs: number;
  readonly engine: "fetch" | "wire";
  /** The only part to run; default: all. */
  readonly part: string | undefined;
  readonly seed: number;
}

/** Reads the options. Throws with a message for the user. */
export function readOptions(args: string[]): Options {
  const flags = parseArgs(args, {
    string: ["minutes", "seconds", "engine", "part", "seed"],
    unknown: (arg) => {
      throw new Error(`unknown argument ${arg}`);
    },
  });
  const number = (name: string, fallback: number) => {
    const value = flags[name] === undefined ? fallback : Number(flags[name]);
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} wants a number, not ${flags[name]}`);
    return value;
  };
  const engine = flags["engine"] ?? "fetch";
  if (engine !== "fetch" && engine !== "wire") throw new Error(`--engine wants fetch or wire, not ${engine}`);
  return {
    durationMs: flags["seconds"] === undefined ? number("minutes", 10) * 60_000 : number("seconds", 0) * 1000,
    engine,
    part: typeof flags["part"] === "string" ? flags["part"] : undefined,
    seed: number("seed", Date.now() % 1_000_000),
  };
}
