// The built file ended with "n is not a function" when it made a certificate: the bundler gives a CommonJS package that is
// loaded by import() no names but `default`.

import { assertEquals } from "@std/assert";
import { readLate, repaired } from "../../../scripts/compile/repairs.ts";

Deno.test("repaired() gives those that import() a CommonJS package its names, also behind the licences at its end", () => {
  const modules = repaired(
    new Map([
      ["main.js", 'let{a}=await import("./one.js"),b=await import("./two.js"),c=await import("./own.js");'],
      ["one.js", "var x=y(()=>{});export default x();\n/*! by * somebody */\n/* and others */\n"],
      ["two.js", "export default $2();"],
      ["own.js", "var text='export default y();';export{text};"],
    ]),
  );
  const names = ".then(({default:all})=>({...all,default:all}))";
  assertEquals(
    modules.get("main.js"),
    `let{a}=await import("./one.js")${names},b=await import("./two.js")${names},c=await import("./own.js");`,
  );
  assertEquals(modules.get("own.js"), "var text='export default y();';export{text};");
});

Deno.test("repaired() gives a require to the modules that look for one, and to no others", () => {
  const modules = repaired(new Map([["a.js", 'throw Error("Dynamic require of x");'], ["b.js", "export{b};"]]));
  assertEquals(modules.get("b.js"), "export{b};");
  assertEquals(
    modules.get("a.js"),
    'const require=(name)=>globalThis.process.getBuiltinModule(name);\nthrow Error("Dynamic require of x");',
  );
});

Deno.test("readLate() hides from the runtime what a module loads by import(), and changes nothing else", () => {
  // Every start read all modules, 3 MB of them, though it runs a third: 7 ms of CPU time.
  const text =
    'import{a}from"./one.js";await import("./one.js");await import("node:fs");var page=`import("./page.js")`;';
  const modules = readLate(new Map([["main.js", text], ["one.js", ""]]));
  assertEquals(modules.get("main.js"), text.replace('import("./one.js")', 'import((0,"./one.js"))'));
});
