// The help said "[from the file]" where a newcomer wants the default, and named no choices.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type CommandName, COMMANDS } from "../../../src/cli/commands.ts";
import { choicesOf, FLAGS } from "../../../src/cli/flags.ts";
import { helpText } from "../../../src/cli/help.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { parseCommand } from "../../../src/cli/command.ts";

const NAMES = Object.keys(COMMANDS) as CommandName[];

/** The help with its lines joined, so that a text may be looked for that is wrapped. */
function joined(topic: CommandName | undefined): string {
  return helpText(topic).replaceAll(/\s+/g, " ");
}

Deno.test("helpText() shows the real defaults, and names the choices", () => {
  const help = joined(undefined);
  for (
    const text of [
      "-p, --port PORT the port of the proxy; 0 takes any free one [8080]",
      "--admin-host HOST the address that the admin API listens on [127.0.0.1]",
      "--engine NAME how bytes are moved: fetch, wire [fetch]",
      "least-latency, header-hash:NAME [round-robin]",
      "debug, info, warn, error [info]",
      "--log-format FORMAT the form of a log line: text, json [text]",
      "[http://127.0.0.1:8081]",
    ]
  ) assertStringIncludes(help, text);
  assert(!help.includes("from the file"));
});

Deno.test("helpText() has every command and every option, with two examples, in lines of 80 columns", () => {
  const help = helpText(undefined);
  for (const name of NAMES) assertStringIncludes(help, `\n  ${name} `);
  for (const { name } of FLAGS) assertStringIncludes(help, ` --${name}`);
  assertEquals(help.match(/^ {2}roundhouse .*$/gm)?.length, 2);
  for (const topic of [undefined, ...NAMES]) {
    for (const line of helpText(topic).split("\n")) assert(line.length <= 80, line);
  }
});

Deno.test("helpText() of a command has its options alone, and examples that are understood", () => {
  assertStringIncludes(helpText("top"), "--admin URL");
  assert(!helpText("top").includes("--backend"));
  assert(!helpText("check").includes("--admin URL"));
  for (const name of NAMES) {
    const { examples } = COMMANDS[name];
    assert(examples.length > 0);
    for (const { line } of examples) {
      const [, words = ""] = /\broundhouse ?([^<>|;]*)/.exec(line) ?? [];
      assertEquals<string>(parseCommand(words.trim().split(/\s+/).filter((word) => word !== "")).kind, name);
    }
  }
});

Deno.test("choicesOf() names values that the configuration takes", () => {
  const settings = { strategy: "strategy", engine: "engine", "log-level": "logLevel", "log-format": "logFormat" };
  const withChoices = FLAGS.filter((flag) => choicesOf(flag).length > 0);
  assertEquals(new Set(withChoices.map(({ name }) => name)), new Set(Object.keys(settings)));
  for (const flag of withChoices) {
    for (const choice of choicesOf(flag)) {
      const flags = { [settings[flag.name as keyof typeof settings]]: choice };
      loadConfig({ path: "-", flags, env: () => undefined, readStdin: () => "{}" });
    }
  }
});
