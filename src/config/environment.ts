/** Replaces `${NAME}` and `${NAME:-default}` in the texts of a configuration by environment variables. */
import type { Diagnostic } from "./diagnostics.ts";
import { type Path, setAt, valueAt } from "./setting_path.ts";

/** Looks up an environment variable; `undefined` when it is unset. */
export type Environment = (name: string) => string | undefined;

/** A configuration with its references replaced. */
export interface Substituted {
  readonly value: unknown;
  readonly diagnostics: readonly Diagnostic[];
  /** The settings whose text was one reference and nothing else: see `readAsTyped`. */
  readonly references: readonly Path[];
}

/**
 * Replaces the references in every text of `raw`, but not in keys. A variable that is unset and has no default gives a
 * diagnostic. As in a shell, the default is also used for an empty variable.
 */
export function substitute(raw: unknown, env: Environment): Substituted {
  const diagnostics: Diagnostic[] = [];
  const references: Path[] = [];
  const walk = (value: unknown, path: Path): unknown => {
    if (typeof value === "string") {
      const { text, faults } = expand(value, env);
      if (faults.length > 0) diagnostics.push({ path, text: faults.join("; ") });
      else if (SINGLE_REFERENCE.test(value)) references.push(path);
      return text;
    }
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index]));
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, [...path, key])]));
    }
    return value;
  };
  return { value: walk(raw, []), diagnostics, references };
}

/**
 * A variable is always text, but `"port": "${PORT}"` means a number. Changes the text at each of `paths` to the number
 * or boolean that it spells, if it spells one. Call it with the paths of texts that the schema refused.
 */
export function readAsTyped(raw: unknown, paths: readonly Path[]): void {
  for (const path of paths) {
    const text = valueAt(raw, path);
    if (typeof text === "string" && /^(true|false|-?\d+(\.\d+)?)$/.test(text)) {
      setAt(raw, path, text === "true" ? true : text === "false" ? false : Number(text));
    }
  }
}

// A default ends at the first brace. References can't be nested.
const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\}/y;
const SINGLE_REFERENCE = new RegExp(`^${REFERENCE.source}$`);

function expand(text: string, env: Environment): { readonly text: string; readonly faults: readonly string[] } {
  const faults: string[] = [];
  let result = "";
  let from = 0;
  for (let at = text.indexOf("${"); at !== -1; at = text.indexOf("${", from)) {
    result += text.slice(from, at);
    REFERENCE.lastIndex = at;
    const [reference, name, fallback] = REFERENCE.exec(text) ?? [];
    if (reference === undefined || name === undefined) {
      // If it were left as it is, a mistyped reference could become a password.
      faults.push('got "${" without a reference, want ${NAME} or ${NAME:-default}');
      return { text, faults };
    }
    const value = env(name);
    if (value === undefined && fallback === undefined) faults.push(`environment variable ${name} is not set`);
    result += (value === "" ? fallback : undefined) ?? value ?? fallback ?? "";
    from = at + reference.length;
  }
  return { text: result + text.slice(from), faults };
}
