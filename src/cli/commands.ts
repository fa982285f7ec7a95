/** The commands: what each does, which options it takes, and how it is used. */

import { ADMIN_FLAGS, CONFIG_FLAGS, type Flag } from "./flags.ts";

/** A command line and what it does. */
export interface Example {
  readonly line: string;
  readonly about: string;
}

/** A command, for the help and for the check of its options. */
export interface CommandInfo {
  /** Its arguments in the line of usage. */
  readonly usage: string;
  /** What it does, in a line of the help. */
  readonly about: string;
  /** Besides `--help` and `--version`. */
  readonly flags: readonly Flag[];
  readonly examples: readonly Example[];
}

/** All commands but `help` and `version`, in the order of the help. */
export const COMMANDS = {
  run: {
    usage: "roundhouse [run] [OPTIONS]",
    about: "start the proxy and the admin API (the default command)",
    flags: CONFIG_FLAGS,
    examples: [
      {
        line: "roundhouse -b http://127.0.0.1:9001 -b http://127.0.0.1:9002",
        about: "two backends in turn, without a file",
      },
      { line: "roundhouse -c roundhouse.json --watch-config", about: "what the file says, and each change of it" },
    ],
  },
  check: {
    usage: "roundhouse check [OPTIONS]",
    about: "check the configuration and print what it means",
    flags: CONFIG_FLAGS,
    examples: [
      { line: "roundhouse check -c roundhouse.json", about: "one line for each error, and status 1" },
      { line: "roundhouse check -c - < roundhouse.json", about: "the same from standard input" },
    ],
  },
  routes: {
    usage: "roundhouse routes [OPTIONS]",
    about: "print the routes in the order in which they are matched",
    flags: CONFIG_FLAGS,
    examples: [
      { line: "roundhouse routes -c roundhouse.json", about: "key, number of the entry, where it leads, and when" },
    ],
  },
  schema: {
    usage: "roundhouse schema",
    about: "print the JSON Schema of the configuration file",
    flags: [],
    examples: [{ line: "roundhouse schema > config.schema.json", about: "for an editor that completes settings" }],
  },
  "hash-password": {
    usage: "roundhouse hash-password",
    about: "read a password and print its hash",
    flags: [],
    examples: [
      { line: "roundhouse hash-password", about: "asks twice, and does not show what is typed" },
      { line: "pwgen -s 20 1 | tee password | roundhouse hash-password", about: "reads it from another program" },
    ],
  },
  top: {
    usage: "roundhouse top [--admin URL]",
    about: "watch a running roundhouse; plain lines if piped; q ends it",
    flags: ADMIN_FLAGS,
    examples: [
      { line: "roundhouse top --admin 10.0.0.7:8081", about: "one on another machine" },
      { line: "roundhouse top | tee roundhouse.log", about: "a line each second for each backend" },
    ],
  },
  reload: {
    usage: "roundhouse reload [--admin URL]",
    about: "make a running roundhouse read its configuration again",
    flags: ADMIN_FLAGS,
    examples: [{ line: "roundhouse reload", about: "prints which backends have changed, and what needs a restart" }],
  },
  ready: {
    usage: "roundhouse ready [--admin URL]",
    about: "status 0 if a running roundhouse can serve, else 1",
    flags: ADMIN_FLAGS,
    examples: [{ line: "until roundhouse ready; do sleep 1; done", about: "waits until requests can be served" }],
  },
} as const satisfies Record<string, CommandInfo>;

/** The name of a command. */
export type CommandName = keyof typeof COMMANDS;

/** Whether there is such a command. */
export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/** Every command, as the loosest of their types. */
export function commandInfo(name: CommandName): CommandInfo {
  return COMMANDS[name];
}
