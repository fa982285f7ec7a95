/** Routes for people: what `roundhouse routes` and `roundhouse check` print. */
import type { RouteEntry } from "../schema/routes.ts";
import type { When } from "../schema/when.ts";
import { describeGuards } from "../guards.ts";
import { describeMirror } from "../mirror.ts";
import { HIDDEN } from "../secret_parameters.ts";
import { isSecret } from "../secrets.ts";
import type { Path } from "../setting_path.ts";
import { inMatchOrder, leadsTo } from "./match_order.ts";

type Routes = Readonly<Record<string, readonly RouteEntry[]>>;

/** One line for each entry, in the order in which they are matched: key, number of the entry, where it leads, when. */
export function describeRoutes(routes: Routes): string[] {
  const rows = inMatchOrder(routes).flatMap(([key, entries]) =>
    entries.map((entry, index) => [key, String(index), leadsTo(entry), aboutEntry(key, entry, index)] as const)
  );
  const widths = [0, 1, 2].map((column) => rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
}

function aboutEntry(key: string, entry: RouteEntry, index: number): string {
  const { name, when, stripPrefix, addPrefix } = entry;
  return [
    ...name === null ? [] : [`name ${JSON.stringify(name)}`],
    ...when === null ? [] : [`when ${conditions(when, ["routes", key, index, "when"]).join(" and ")}`],
    ...stripPrefix === null ? [] : [`strips ${stripPrefix}`],
    ...addPrefix === null ? [] : [`adds ${addPrefix}`],
    ...describeGuards(entry),
    ...describeMirror(entry.mirror),
  ].join(", ");
}

/** `method GET`, `header X-Beta is "1"`, `cookie a begins with "b"`, `query q is there`, `client 10.0.0.0/8`. */
function conditions(when: When, path: Path): string[] {
  const named = (["header", "cookie", "query"] as const).flatMap((part) =>
    Object.entries(when[part] ?? {}).map(([name, rule]) =>
      `${part} ${name} ${ruleText(rule, isSecret([...path, part, name]))}`
    )
  );
  return [
    ...when.method === undefined ? [] : [`method ${when.method.join(" or ")}`],
    ...named,
    ...when.client === undefined ? [] : [`client ${when.client.join(" or ")}`],
  ];
}

function ruleText(rule: string | null, isHidden: boolean): string {
  if (rule === null) return "is not there";
  if (rule === "*") return "is there";
  const isBeginning = rule.endsWith("*");
  const text = isHidden ? HIDDEN : JSON.stringify(isBeginning ? rule.slice(0, -1) : rule);
  return `${isBeginning ? "begins with" : "is"} ${text}`;
}
