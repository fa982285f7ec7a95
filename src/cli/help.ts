/** The texts of `roundhouse --help` and `roundhouse COMMAND --help`. */

import { commandInfo, type CommandName, COMMANDS, type Example } from "./commands.ts";
import { ADMIN_FLAGS, choicesOf, COMMON_FLAGS, CONFIG_FLAGS, defaultOf, type Flag } from "./flags.ts";

/** The widest line. A terminal has at least as many columns, as a rule. */
const WIDTH = 80;
/** Where the meaning of an option begins. */
const ABOUT_COLUMN = 31;
/** Where that of a command begins. */
const COMMAND_COLUMN = 18;

const ENVIRONMENT =
  "Options go before the environment (ROUNDHOUSE_CONFIG, ROUNDHOUSE_ADMIN_TOKEN, ROUNDHOUSE_LOG_LEVEL), the " +
  "environment goes before the file, and the file before the defaults in brackets.";

const TOKEN = "The token of the admin API comes from ROUNDHOUSE_ADMIN_TOKEN.";

/** The help of a command; `undefined`: of all of them. */
export function helpText(command: CommandName | undefined): string {
  return command === undefined ? wholeHelp() : commandHelp(command);
}

function wholeHelp(): string {
  const commands = [...Object.keys(COMMANDS) as CommandName[]].map((name) =>
    row(`  ${name}`, commandInfo(name).about, COMMAND_COLUMN)
  );
  return [
    "roundhouse - a load-balancing HTTP reverse proxy",
    "",
    "Usage: roundhouse [COMMAND] [OPTIONS]",
    "",
    "Examples:",
    ...examples(commandInfo("run").examples),
    "",
    "Commands:",
    ...commands,
    row("  help", "print this text; help COMMAND prints that of a command", COMMAND_COLUMN),
    row("  version", "print the version", COMMAND_COLUMN),
    "",
    "Options of run, check and routes:",
    ...CONFIG_FLAGS.map(flagRow),
    "",
    "Options of top, reload and ready:",
    ...ADMIN_FLAGS.map(flagRow),
    "",
    "Options of every command:",
    ...COMMON_FLAGS.map(flagRow),
    "",
    wrap(ENVIRONMENT, WIDTH).join("\n"),
    "",
  ].join("\n");
}

function commandHelp(name: CommandName): string {
  const { usage, about, flags, examples: uses } = commandInfo(name);
  const notes = flags === CONFIG_FLAGS ? ["", ...wrap(ENVIRONMENT, WIDTH)] : flags === ADMIN_FLAGS ? ["", TOKEN] : [];
  return [
    `roundhouse ${name} - ${about}`,
    "",
    `Usage: ${usage}`,
    "",
    ...(uses.length === 1 ? ["Example:"] : ["Examples:"]),
    ...examples(uses),
    "",
    "Options:",
    ...[...flags, ...COMMON_FLAGS].map(flagRow),
    ...notes,
    "",
  ].join("\n");
}

function examples(list: readonly Example[]): string[] {
  return list.flatMap(({ line, about }) => [`  ${line}`, `      ${about}`]);
}

function flagRow(flag: Flag): string {
  const { name, short, value } = flag;
  const choices = choicesOf(flag);
  const fallback = defaultOf(flag);
  const names = `  ${short === undefined ? "   " : `-${short},`} --${name}${value === undefined ? "" : ` ${value}`}`;
  const about = [
    flag.about + (choices.length === 0 ? "" : `: ${choices.join(", ")}`),
    ...(fallback === undefined ? [] : [`[${fallback}]`]),
  ];
  return row(names, about.join(" "), ABOUT_COLUMN);
}

/** A name and its meaning, which continues below itself. */
function row(name: string, about: string, column: number): string {
  const lines = wrap(about, WIDTH - column);
  const first = name.length < column - 1 ? name.padEnd(column) + lines.shift() : name;
  return [first, ...lines.map((line) => " ".repeat(column) + line)].join("\n");
}

/** Lines of at most `width` columns. Brackets keep their words together. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.match(/\[[^\]]*\]|\S+/g) ?? []) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line += (line === "" ? "" : " ") + word;
  }
  return [...lines, line];
}
