/** Mends what the bundler makes when it splits a program into several modules. */

/**
 * Some packages load modules of the runtime with `require`, which does not exist in a module. Modules that look for it
 * say in their text what they throw without it.
 */
const REQUIRE = "const require=(name)=>globalThis.process.getBuiltinModule(name);\n";
const LOOKS_FOR_REQUIRE = "Dynamic require of";

/** How a module ends that is nothing but a CommonJS package; comments with licences may follow. */
const IS_COMMON_JS = /\bexport default [\w$]+\(\);\s*(?:\/\*(?:[^*]|\*(?!\/))*\*\/\s*)*$/;

/** The texts of all modules by name, as they work. */
export function repaired(modules: ReadonlyMap<string, string>): Map<string, string> {
  const packages = [...modules].filter(([, text]) => IS_COMMON_JS.test(text)).map(([name]) => name);
  return new Map([...modules].map(([name, text]) => {
    for (const imported of packages) {
      // The module has only `default`, but those that import it want the names in it.
      const call = `import("./${imported}")`;
      text = text.replaceAll(call, () => `${call}.then(({default:all})=>({...all,default:all}))`);
    }
    return [name, text.includes(LOOKS_FOR_REQUIRE) ? REQUIRE + text : text];
  }));
}

const IMPORTED_LATE = /\bimport\("\.\/([^"]+)"\)/g;

/**
 * The texts of all modules by name, so that what they load by `import()` is not read before. The runtime reads whatever
 * an `import()` names in plain words at every start, to know what may come, which takes as long as a quarter of its own
 * start. `deno compile` needs the plain words, to know what belongs into the file.
 */
export function readLate(modules: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...modules].map(([name, text]) => {
    const late = text.replaceAll(
      IMPORTED_LATE,
      (call, imported: string) => modules.has(imported) ? `import((0,"./${imported}"))` : call,
    );
    return [name, late];
  }));
}
