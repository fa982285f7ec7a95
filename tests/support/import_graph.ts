/** Which file of `src/` imports which, as written in their texts. */

const SRC = new URL("../../src/", import.meta.url);

/**
 * What names another file: `import … from`, `export … from`, `import "…"`, `import("…")`, also as a type, and
 * `new URL("…", import.meta.url)`, which names workers and files that are read.
 */
const NAMES_FILE = /\bfrom\s*"(\.[^"]+)"|\bimport\s*\(?\s*"(\.[^"]+)"|\bnew URL\(\s*"([^"]+)",\s*import\.meta\.url/g;

const IS_MODULE = /\.(ts|js)$/;

/** From each module to the files that it names; paths are relative to `src/`. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Reads the graph of all modules below `src/`. */
export function importGraph(): ImportGraph {
  const files = Array.from(modulesBelow(""));
  return new Map(files.map((file) => [file, importsIn(Deno.readTextFileSync(new URL(file, SRC)), file)]));
}

/** The files that a module's text names. */
export function importsIn(text: string, file: string): string[] {
  const paths = Array.from(text.matchAll(NAMES_FILE), ([, from, bare, url]) => from ?? bare ?? url ?? "");
  const targets = paths.map((path) => new URL(path, new URL(file, SRC)).href);
  return targets.filter((target) => target.startsWith(SRC.href)).map((target) => target.slice(SRC.href.length));
}

function* modulesBelow(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, SRC))) {
    if (entry.isDirectory) yield* modulesBelow(`${folder}${entry.name}/`);
    else if (IS_MODULE.test(entry.name)) yield folder + entry.name;
  }
}

/**
 * Finds the circles: sets of modules that import each other, directly or through others (the strongly connected
 * components of more than one module, and modules that import themselves), by Tarjan's algorithm.
 */
export function circlesOf(graph: ImportGraph): string[][] {
  const circles: string[][] = [];
  const order = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): number => {
    const own = order.size;
    let lowest = own;
    order.set(file, own);
    stack.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!order.has(target)) lowest = Math.min(lowest, visit(target));
      else if (stack.includes(target)) lowest = Math.min(lowest, order.get(target) ?? own);
    }
    if (lowest < own) return lowest;
    const circle = stack.splice(stack.indexOf(file)).sort();
    if (circle.length > 1 || graph.get(file)?.includes(file) === true) circles.push(circle);
    return lowest;
  };
  for (const file of graph.keys()) {
    if (!order.has(file)) visit(file);
  }
  return circles;
}
