/** Changes the weights of a split in the text of a configuration file. */
import type { Node } from "jsonc-parser";
import { ConfigError } from "../errors.ts";
import type { SplitChange } from "./backend_change.ts";
import { type Environment, substitute } from "./environment.ts";
import { editedFile, type FileContext, nodeAt, type Style } from "./json_edit.ts";
import { joinList, splitList } from "./json_list.ts";
import { formatPath, type Path } from "./setting_path.ts";

type Weights = Readonly<Record<string, number>>;

/**
 * The text of a configuration file with other weights in an entry of a route. What is beside a weight stays. The name of
 * a pool alone becomes a split. Throws a `ConfigError` when the file has no such entry any more.
 */
export function withWeights(text: string, { route, entry, weights }: SplitChange, context: FileContext): string {
  const { env, source = "configuration" } = context;
  return editedFile(text, source, ({ root, style }) => {
    const node = sidesOf(root, ["routes", route], entry);
    if (node === undefined) {
      throw new ConfigError([`${source}: ${formatPath(["routes", route, entry])}: leads to no pool there`]);
    }
    if (node.type === "object") return { node, text: editedSides(node, { weights, env, style }) };
    const names = Object.keys(weights);
    // The name of the only pool stands for all of the requests.
    if (names.length === 1 && names[0] === substitute(node.value, env).value) return undefined;
    const isEntry = node.parent?.children?.[0]?.value !== "pool";
    return { node, text: isEntry ? `{ "pool": ${newSides(weights)} }` : newSides(weights) };
  });
}

/** Where an entry says its pools: text or an object. */
function sidesOf(root: Node, route: Path, entry: number): Node | undefined {
  const written = nodeAt(root, route);
  const node = written?.type === "array" ? written.children?.[entry] : entry === 0 ? written : undefined;
  if (node?.type === "string") return node;
  const sides = node === undefined ? undefined : nodeAt(node, ["pool"]);
  return sides?.type === "string" || sides?.type === "object" ? sides : undefined;
}

interface SidesChange {
  readonly weights: Weights;
  readonly env: Environment;
  readonly style: Style;
}

function editedSides(object: Node, { weights, env, style }: SidesChange): string {
  const list = splitList(style.text, object);
  const known = new Set<string>();
  const items = list.items.map((item) => {
    const [key, value] = item.node.children ?? [];
    const name = String(key?.value);
    const wanted = weights[name];
    known.add(name);
    if (value === undefined || wanted === undefined || Number(substitute(value.value, env).value) === wanted) {
      return item;
    }
    return { ...item, text: style.text.slice(item.node.offset, value.offset) + wanted };
  });
  const added = Object.entries(weights).filter(([name]) => !known.has(name)).map(side);
  return joinList(list, [...items, ...added], { ...style, multiline: false, indent: "", closing: "" });
}

function newSides(weights: Weights): string {
  return `{ ${Object.entries(weights).map(side).join(", ")} }`;
}

function side([name, weight]: readonly [string, number]): string {
  return `${JSON.stringify(name)}: ${weight}`;
}
