import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { isSocket, normaliseSocket, SOCKET_PATTERN, socketPath } from "../../../src/config/socket_path.ts";

Deno.test("normaliseSocket() has one spelling for the same path", () => {
  const same = ["unix:/run/app.sock", "unix:///run/app.sock", "unix://run/app.sock", "unix:/run//app.sock"];
  assertEquals(same.map(normaliseSocket), same.map(() => "unix:/run/app.sock"));
  assertEquals(normaliseSocket("unix:/a"), "unix:/a");
  assertEquals(normaliseSocket("unix:/run/ä-[1].sock"), "unix:/run/ä-[1].sock");
  assertEquals(normaliseSocket("unix:/run/...sock"), "unix:/run/...sock");
});

Deno.test("normaliseSocket() refuses what is not the absolute path of a file", () => {
  const wrong = [
    ...["", "/run/app.sock", "unix:", "unix:run/app.sock", "unix:/", "unix:///", "UNIX:/run/app.sock", "unix:@app"],
    ...["unix:/run/", "unix:/run/.", "unix:/run/..", "unix:/run/./app.sock", "unix:/run/../app.sock"],
    // Other programs mean a base path, a query or a port by these.
    ...["unix:/run/app.sock:/base", "unix:/run/app.sock:80", "unix:/run/app.sock?a", "unix:/run/app.sock#a"],
    ...["unix:/run/a b.sock", "unix:/run/a\n.sock", "unix:/run/a\0.sock", "unix:/run/a\x7f.sock", "unix:/run\\a"],
  ];
  for (const text of wrong) assertEquals(normaliseSocket(text), undefined, JSON.stringify(text));
});

Deno.test("normaliseSocket() refuses a path that the system would refuse", async () => {
  // The name of a socket has room for 108 bytes, one of which ends it. The runtime's error named neither setting nor limit.
  const directory = await Deno.makeTempDir({ dir: "/tmp" });
  for (const [letter, bytes] of [["a", 1], ["ä", 2]] as const) {
    for (const length of [106, 107, 108, 109]) {
      const free = length - directory.length - 1;
      const name = letter.repeat(Math.floor(free / bytes)) + "b".repeat(free % bytes);
      const path = `${directory}/${name}`;
      const works = (() => {
        try {
          Deno.listen({ transport: "unix", path }).close();
          return true;
        } catch {
          return false;
        }
      })();
      assertEquals(normaliseSocket(`unix:${path}`) !== undefined, works, `${length} bytes`);
      assertEquals(works, length <= 107);
    }
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("normaliseSocket() returns text that it does not change again", () => {
  const part = fc.constantFrom("/", "a", "b.sock", ".", "..", ":", " ", "é", "%2F", "@");
  fc.assert(fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
    const name = normaliseSocket(`unix:/${parts.join("")}`);
    if (name === undefined) return;
    assertEquals([normaliseSocket(name), isSocket(name), SOCKET_PATTERN.test(name)], [name, true, true]);
    assertEquals(/^(\/[^/]+)+$/.test(socketPath(name) ?? ""), true);
  }));
});
