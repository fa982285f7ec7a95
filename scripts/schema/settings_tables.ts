/** The tables of `docs/configuration.md`, written from the facts that stand on the settings in the schema. */
import { configSchema } from "../../src/config/schema.ts";
import { EACH, type Setting, settingsOf } from "../../src/config/setting.ts";

/** `<!-- settings: proxy.* -->` begins a table of these settings, `<!-- restart -->` a list of those that need one. */
const GENERATED = /(<!-- (settings: (?<patterns>[^>]+)|restart) -->\n)[^]*?(<!-- end -->)/g;

const SECRETS: Readonly<Record<NonNullable<Setting["secret"]>, string>> = {
  "whole": "Errors and `GET /config` never show it.",
  "by-name": "Errors and `GET /config` hide values whose names look like those of secrets.",
  "in-query": "`GET /config` hides query parameters whose names look like those of secrets.",
  "in-url": "Errors and `GET /config` never show its user and password.",
};

// What a pool or a route has in place of a setting of the top level stands in that setting's table. The settings of a
// route are found twice, because a route is an entry or a list of entries.
const ALL = settingsOf(configSchema);
const OVERRIDES = new Set(ALL.filter(({ overrides }) => overrides === true).map(nameOf));
const SETTINGS = ALL.filter(({ path }) => {
  const [top, , step] = path;
  if (top === "pools" && step !== undefined || top === "routes" && step === EACH) return false;
  return !path.some((_, index) => OVERRIDES.has(nameOf({ path: path.slice(0, index + 1) })));
});

/**
 * The page with its tables written anew; everything around them stays.
 *
 * @throws {Error} when the page shows a setting nowhere, or asks for one that there is not
 */
export function withSettingsTables(page: string): string {
  const patterns = Array.from(page.matchAll(GENERATED)).flatMap(({ groups }) => patternsIn(groups?.["patterns"]));
  const homeless = SETTINGS.filter((setting) => homeOf(setting, patterns) === undefined);
  if (homeless.length > 0) throw new Error(`in no table: ${homeless.map(nameOf).join(", ")}`);
  const idle = patterns.filter((pattern) => !SETTINGS.some((setting) => homeOf(setting, patterns) === pattern));
  if (idle.length > 0) throw new Error(`no such settings: ${idle.join(", ")}`);
  return page.replace(GENERATED, (...match) => {
    const [, begin, , , end] = match;
    const { patterns: wanted } = match.at(-1) as { readonly patterns?: string };
    const shown = patternsIn(wanted);
    const lines = wanted === undefined
      ? ["", restartList(), ""]
      : table(SETTINGS.filter((setting) => shown.includes(homeOf(setting, patterns) ?? "")));
    return `${begin}${lines.join("\n")}\n${end}`;
  });
}

function patternsIn(list: string | undefined): string[] {
  return list === undefined ? [] : list.split(",").map((pattern) => pattern.trim());
}

/** The most special of the patterns that a setting fits: its own name, or `.*` behind the start of it. */
function homeOf(setting: Setting, patterns: readonly string[]): string | undefined {
  const name = nameOf(setting);
  const fitting = patterns.filter((pattern) =>
    pattern.endsWith(".*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern
  );
  return fitting.toSorted((one, other) => other.length - one.length)[0];
}

function nameOf({ path }: Pick<Setting, "path">): string {
  return path.reduce((name, key) => key === EACH ? `${name}${EACH}` : name === "" ? key : `${name}.${key}`, "");
}

function table(settings: readonly Setting[]): string[] {
  // Several kinds of `discover` have the same setting.
  const rows = new Set(settings.map(row));
  return ["| setting | type | default | meaning |", "| --- | --- | --- | --- |", ...rows];
}

function row(setting: Setting): string {
  const { words, fallback, required } = setting;
  const preset = fallback === undefined ? required ? "required" : "" : `\`${JSON.stringify(fallback)}\``;
  const cells = [`\`${nameOf(setting)}\``, words, preset, meaning(setting)].map((cell) => cell.replaceAll("|", "\\|"));
  return `| ${cells.join(" | ")} |`;
}

function meaning({ about, more, engine, restart, secret }: Setting): string {
  const sentences = [about];
  if (more !== undefined) sentences.push(more);
  if (secret !== undefined) sentences.push(SECRETS[secret]);
  if (engine !== undefined) sentences.push(`Only with engine \`${engine}\`.`);
  if (restart === true) sentences.push("A change takes a restart.");
  if (restart === "presence") sentences.push("Turning it on or off takes a restart.");
  return sentences.join(" ");
}

function restartList(): string {
  return SETTINGS.filter(({ restart }) => restart !== undefined).map((setting) => `\`${nameOf(setting)}\``).join(", ");
}
