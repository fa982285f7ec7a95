// The dashboard's files as the admin server sends them; tests/e2e/dashboard_test.ts opens the page.

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { FILES } from "../../src/admin/dashboard/files.ts";
import { TestAdmin } from "../support/admin.ts";
import { headerOf, textOf } from "../support/raw_client.ts";

Deno.test("dashboard: the page and its modules name no file that is not there, and nothing elsewhere", () => {
  for (const [path, text] of Object.entries(FILES)) {
    if (path === "/dashboard/uplot.js") continue; // names its home in a comment
    assertNotMatch(text, /(?:src|href|from|url\()\s*=?\s*["']?(?:https?:)?\/\//, path);
    const code = text.replaceAll(/\/\*\* @import .*/g, ""); // types, which only the checker looks for
    const named = [...code.matchAll(/(?:src|href)="(?!#)([^"]+)"|from "(\.[^"]+)"/g)];
    for (const [, inPage, inModule] of named) {
      const { pathname } = new URL(inPage ?? inModule ?? "", `http://h${path}`);
      assert(Object.hasOwn(FILES, pathname), `${path} names ${pathname}`);
    }
  }
  const sources = Array.from(
    Deno.readDirSync(new URL("../../src/admin/dashboard/", import.meta.url)),
    (file) => file.name,
  );
  const modules = sources.filter((name) => name.endsWith(".js"));
  assertEquals(modules.filter((name) => !Object.hasOwn(FILES, `/dashboard/${name}`)), [], "every module is served");
});

Deno.test("dashboard: each file has its type, may load nothing from elsewhere, and is sent once while it stays", async () => {
  await using admin = new TestAdmin({ token: "s3cret" });
  for (const [path, text] of Object.entries(FILES)) {
    const response = await admin.send({ target: path, headers: { host: "dash.example" } });
    assertEquals([response.status, textOf(response)], [200, text], path);
    assertMatch(
      headerOf(response, "content-type") ?? "",
      /^(text\/(html|javascript|css); charset=utf-8|image\/svg\+xml)$/,
    );
    assertEquals(headerOf(response, "content-length"), String(new TextEncoder().encode(text).length));
    assertEquals([headerOf(response, "cache-control"), headerOf(response, "x-content-type-options")], [
      "no-cache",
      "nosniff",
    ]);
    const policy = headerOf(response, "content-security-policy") ?? "";
    assertMatch(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
    assertNotMatch(policy, /unsafe|\*|http/);

    const etag = headerOf(response, "etag") ?? "";
    const again = await admin.send({ target: path, headers: { "if-none-match": `"x", W/${etag}` } });
    assertEquals([again.status, textOf(again), headerOf(again, "etag")], [304, "", etag]);
    const changed = await admin.send({ target: path, headers: { "if-none-match": '"x"' } });
    assertEquals(changed.status, 200);
  }
});
