/** Where a setting stands in the configuration file: `["backends", 1, "weight"]`, shown as `backends[1].weight`. */

/** Keys and list positions from the top of the file down. Empty: the file as a whole. */
export type Path = readonly (string | number)[];

/** The path as error lines show it. Keys that would be unclear after a dot are quoted in brackets. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** The value at `path`, or `undefined`. Inherited properties do not count. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}

/** Puts `value` at `path` if the object or list to hold it exists. Otherwise does nothing. */
export function setAt(root: unknown, path: Path, value: unknown): void {
  const key = path.at(-1);
  const holder = valueAt(root, path.slice(0, -1));
  if (key !== undefined && typeof holder === "object" && holder !== null) Reflect.set(holder, key, value);
}

/** Whether `inner` is `outer` or something below it. */
export function isWithin(inner: Path, outer: Path): boolean {
  return outer.length <= inner.length && outer.every((step, index) => step === inner[index]);
}

/** Whether both name the same place. */
export function samePath(one: Path, other: Path): boolean {
  return one.length === other.length && isWithin(one, other);
}
